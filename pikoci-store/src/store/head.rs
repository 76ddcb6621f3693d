//! What an embedded store keeps about itself as a whole.

use super::recent::Recent;
use super::tally::{TALLY_SIZE_BYTES, Tally};

/// The state after a group, stored anew with each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Head {
    /// The greatest revision ever given out.
    pub(crate) revision: u64,
    /// What all entries add up to.
    pub(crate) tally: Tally,
}

impl Head {
    /// The stored form: revision (8), tally (24), check sum of these and of
    /// what follows (4), outcomes of the last group. Numbers are big-endian.
    pub(crate) fn encode(&self, recent: &[u8]) -> Vec<u8> {
        let mut bytes = self.revision.to_be_bytes().to_vec();
        bytes.extend_from_slice(&self.tally.encode());
        bytes.extend_from_slice(&check_sum(&bytes, recent));
        bytes.extend_from_slice(recent);
        bytes
    }

    /// What was stored; `None` if it is not of that form or damaged.
    pub(crate) fn decode(bytes: &[u8]) -> Option<(Self, Recent)> {
        let (head, rest) = bytes.split_at_checked(8 + TALLY_SIZE_BYTES)?;
        let (stored, recent) = rest.split_first_chunk::<4>()?;
        if *stored != check_sum(head, recent) {
            return None;
        }
        let (revision, tally) = head.split_first_chunk::<8>()?;
        let tally = Tally::decode(tally.try_into().ok()?);
        let revision = u64::from_be_bytes(*revision);
        Some((Self { revision, tally }, Recent::decode(recent)?))
    }
}

fn check_sum(head: &[u8], recent: &[u8]) -> [u8; 4] {
    let mut sum = crc32fast::Hasher::new();
    sum.update(head);
    sum.update(recent);
    sum.finalize().to_be_bytes()
}

#[cfg(test)]
mod tests {
    use pikoci_core::store::{Outcome, Revision, Txn};
    use uuid::Uuid;

    use super::*;

    #[test]
    fn what_was_encoded_is_decoded_and_nothing_else() {
        let mut head = Head { revision: 9, ..Head::default() };
        head.tally.add(b"key", Revision(9));
        let txn = Txn::new(Uuid::now_v7());
        let outcome = Outcome::Committed(Revision(9));
        let bytes = head.encode(&Recent::default().encode(std::slice::from_ref(&txn), &[outcome]));
        let (decoded, recent) = Head::decode(&bytes).expect("a head");
        assert_eq!(decoded, head);
        assert_eq!(recent.outcome(&txn.id), Some(outcome));
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x10;
            assert!(Head::decode(&damaged).is_none(), "{at}");
            assert!(Head::decode(&bytes[..at]).is_none(), "{at}");
        }
    }
}
