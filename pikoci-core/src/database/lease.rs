//! Leases: something that one at a time may do, with a number that keeps out
//! whoever lost it and does not know yet.
//!
//! Clocks of different machines are never compared. A lease tells how long it
//! lasts (its time to live) and changes with every renewal. Its **holder**
//! counts from before it sent the last renewal, on its own monotonic clock,
//! and stops one margin early. A [`Contender`] takes over only after it has
//! itself watched the lease stay as it is for the time to live and a margin,
//! on its own monotonic clock. The margin is an eighth of the time to live,
//! so one clock may run up to 28% faster than the other.
//!
//! That is for good manners. What makes it safe, however long a process
//! sleeps, is the **epoch**: it is one more with each new holder, for ever,
//! since the key of a lease stays when it is released. Whoever writes on the
//! strength of a lease calls [`Transaction::fence`] in the same transaction,
//! which is then committed only while that epoch has the lease.
//!
//! (After the leases of C. Gray and D. Cheriton, 1989; the sequencers of
//! Chubby, M. Burrows, 2006; the fencing tokens of M. Kleppmann, 2016.)

use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::encoding::{Schema, decode, encode};
use super::error::DatabaseError;
use super::handle::Database;
use super::key_path::{KeyPart, KeyPath};
use super::layout::LEASE;
use super::transaction::Transaction;
use crate::store::{Key, StoreError};

/// What is stored of a lease.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Stored {
    /// Who has it, for people; none after a release.
    holder: Option<String>,
    /// One more with each new holder.
    epoch: u64,
    /// One more with each write, so that every write shows.
    renewals: u64,
    /// How long it lasts without a renewal.
    ttl_ms: u64,
}

impl Schema for Stored {
    const KIND: &'static str = "lease";
}

/// By how much the holder stops early and a contender waits longer.
fn margin(ttl: Duration) -> Duration {
    ttl / 8
}

fn lease_key(name: &KeyPath) -> Result<Key, DatabaseError> {
    Ok(KeyPath::new((LEASE, name)).key()?)
}

/// The next epoch, or number of a write. None is ever used twice.
fn one_more(number: u64) -> Result<u64, StoreError> {
    let used_up = || StoreError::damaged("a lease has used up all its numbers");
    number.checked_add(1).ok_or_else(used_up)
}

/// What a lease looks like to everyone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseView {
    /// Who has it; `None` when it was released. It may have died since.
    pub holder: Option<String>,
    /// The epoch of the last holder.
    pub epoch: u64,
    /// How long it lasts without a renewal.
    pub ttl: Duration,
}

/// Which lease, and under which epoch: what a holder shows with all it writes.
/// It can be sent to other processes as its name and number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FencingToken {
    name: KeyPath,
    epoch: u64,
}

impl FencingToken {
    /// The token of this epoch of a lease.
    pub fn new(name: impl KeyPart, epoch: u64) -> Self {
        Self { name: KeyPath::new(name), epoch }
    }

    /// The epoch.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The key that a fence reads; for [`Transaction::prefetch`].
    ///
    /// # Errors
    /// When the name is too long.
    pub fn key(&self) -> Result<Key, DatabaseError> {
        lease_key(&self.name)
    }

    fn lost(&self) -> DatabaseError {
        DatabaseError::LeaseLost { lease: self.name.to_string(), epoch: self.epoch }
    }
}

/// One that wants a lease, and what it has seen of it so far.
#[derive(Debug, Clone)]
pub struct Contender {
    name: KeyPath,
    holder: String,
    ttl: Duration,
    /// The lease as it was seen last, and since when.
    seen: Option<(Bytes, Duration)>,
    /// Whether whoever has it is known to be dead.
    presumes_dead: bool,
}

/// What became of an attempt at a lease.
enum Attempt {
    Taken(Lease),
    Held(Bytes, Duration),
}

impl Contender {
    /// Wants the lease `name` for `holder`, a name for people, to be renewed
    /// at least every `ttl` (in whole milliseconds, at least 8); a third of
    /// that is a good interval.
    pub fn new(name: impl KeyPart, holder: impl Into<String>, ttl: Duration) -> Self {
        let ttl_ms = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX).max(8);
        Self {
            name: KeyPath::new(name),
            holder: holder.into(),
            ttl: Duration::from_millis(ttl_ms),
            seen: None,
            presumes_dead: false,
        }
    }

    /// The same, knowing that whoever has the lease is dead: it is taken at
    /// once. For a store that no other process can have open.
    #[must_use]
    pub fn presume_dead(mut self) -> Self {
        self.presumes_dead = true;
        self
    }

    /// Takes the lease if nobody has it, or if it has stayed as it is for long
    /// enough since this contender saw it first; `None` otherwise. To be
    /// called again and again, at any interval.
    ///
    /// When the future is dropped, the lease may be taken and nobody's; it is
    /// free again after its time.
    ///
    /// # Errors
    /// When it cannot be read or written.
    pub async fn try_acquire(
        &mut self,
        database: &Database,
    ) -> Result<Option<Lease>, DatabaseError> {
        let attempt = database
            .transact_with(&*self, |transaction, contender| {
                Box::pin(contender.attempt(transaction))
            })
            .await?;
        match attempt {
            Attempt::Taken(lease) => {
                self.seen = None;
                Ok(Some(lease))
            }
            Attempt::Held(bytes, at) => {
                if self.seen.as_ref().is_none_or(|(seen, _)| *seen != bytes) {
                    self.seen = Some((bytes, at));
                }
                Ok(None)
            }
        }
    }

    /// The same as part of a transaction; it goes by what
    /// [`try_acquire`](Self::try_acquire) has seen, and sees nothing itself.
    /// The lease counts once the transaction is committed.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn acquire_in(
        &self,
        transaction: &mut Transaction,
    ) -> Result<Option<Lease>, DatabaseError> {
        match self.attempt(transaction).await? {
            Attempt::Taken(lease) => Ok(Some(lease)),
            Attempt::Held(..) => Ok(None),
        }
    }

    async fn attempt(&self, transaction: &mut Transaction) -> Result<Attempt, DatabaseError> {
        let key = lease_key(&self.name)?;
        let stored = transaction.get_raw(&key).await?;
        // After the answer: whatever it shows was written before this.
        let now = transaction.database().clock().monotonic();
        let before = match &stored {
            Some(bytes) => Some(decode::<Stored>(&key, bytes)?),
            None => None,
        };
        if let (Some(bytes), Some(before)) = (stored, &before)
            && before.holder.is_some()
            && !self.presumes_dead
        {
            let ttl = Duration::from_millis(before.ttl_ms);
            let watched = match &self.seen {
                Some((seen, since)) if *seen == bytes => now.saturating_sub(*since),
                _ => Duration::ZERO,
            };
            if watched < ttl + margin(ttl) {
                return Ok(Attempt::Held(bytes, now));
            }
        }
        let (epoch, renewals) = before.map_or((0, 0), |before| (before.epoch, before.renewals));
        let taken = Stored {
            holder: Some(self.holder.clone()),
            epoch: one_more(epoch)?,
            renewals: one_more(renewals)?,
            ttl_ms: u64::try_from(self.ttl.as_millis()).unwrap_or(u64::MAX),
        };
        let bytes = encode(&key, &taken)?;
        transaction.put_raw(key, bytes);
        Ok(Attempt::Taken(Lease {
            token: FencingToken { name: self.name.clone(), epoch: taken.epoch },
            holder: self.holder.clone(),
            ttl: self.ttl,
            held_until: now + self.ttl - margin(self.ttl),
            database: transaction.database().clone(),
        }))
    }
}

/// A lease that was acquired. Dropped, it runs out by itself.
#[derive(Debug)]
pub struct Lease {
    token: FencingToken,
    holder: String,
    ttl: Duration,
    held_until: Duration,
    database: Database,
}

impl Lease {
    /// What to show with everything that is written on the strength of it.
    pub fn token(&self) -> &FencingToken {
        &self.token
    }

    /// The epoch: greater than that of every earlier holder.
    pub fn epoch(&self) -> u64 {
        self.token.epoch
    }

    /// Who holds it, for people.
    pub fn holder(&self) -> &str {
        &self.holder
    }

    /// How long it can still be counted on by the clock alone; zero when it
    /// is lost, unless a renewal shows otherwise.
    pub fn remaining(&self) -> Duration {
        self.held_until.saturating_sub(self.database.clock().monotonic())
    }

    /// Whether it can be counted on. Only a [fence](Transaction::fence) makes sure.
    pub fn is_held(&self) -> bool {
        !self.remaining().is_zero()
    }

    /// Holds it for its time from now on. Works also after that has run out,
    /// as long as nobody else took it.
    ///
    /// Dropping the future does no harm; the lease may be renewed without its
    /// holder counting on it.
    ///
    /// # Errors
    /// [`LeaseLost`](DatabaseError::LeaseLost); when it cannot be written, and
    /// then it is held as long as it was.
    pub async fn renew(&mut self) -> Result<(), DatabaseError> {
        // Before it is sent: it may reach the store at once.
        let sent = self.database.clock().monotonic();
        self.database
            .transact_with(&self.token, |transaction, token| Box::pin(transaction.renew(token)))
            .await?;
        self.held_until = sent + self.ttl - margin(self.ttl);
        Ok(())
    }

    /// Gives it up, so that others need not wait; does nothing when it is lost.
    ///
    /// # Errors
    /// When that cannot be written; then it runs out by itself.
    pub async fn release(self) -> Result<(), DatabaseError> {
        let released = self
            .database
            .transact_with(&self.token, |transaction, token| Box::pin(transaction.release(token)))
            .await;
        match released {
            Err(DatabaseError::LeaseLost { .. }) => Ok(()),
            other => other,
        }
    }
}

impl Database {
    /// What a lease looks like just now; `None` when nobody ever had it.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn observe(&self, lease: impl KeyPart) -> Result<Option<LeaseView>, DatabaseError> {
        let key = lease_key(&KeyPath::new(lease))?;
        let entry = self.get_raw(std::slice::from_ref(&key)).await?.pop().flatten();
        let Some(entry) = entry else { return Ok(None) };
        let Stored { holder, epoch, ttl_ms, .. } = decode(&key, &entry.value)?;
        Ok(Some(LeaseView { holder, epoch, ttl: Duration::from_millis(ttl_ms) }))
    }
}

impl Transaction {
    /// Lets this transaction be committed only if the lease is held under the
    /// token's epoch then. A renewal at the same time makes it be tried again.
    ///
    /// # Errors
    /// [`LeaseLost`](DatabaseError::LeaseLost); when it cannot be read.
    pub async fn fence(&mut self, token: &FencingToken) -> Result<(), DatabaseError> {
        self.fenced(token).await?;
        Ok(())
    }

    /// Renews a lease on behalf of its holder, which may be another process:
    /// it counts from before it asked.
    ///
    /// # Errors
    /// As for [`Self::fence`].
    pub async fn renew(&mut self, token: &FencingToken) -> Result<(), DatabaseError> {
        let (key, stored) = self.fenced(token).await?;
        let renewed = Stored { renewals: one_more(stored.renewals)?, ..stored };
        let bytes = encode(&key, &renewed)?;
        self.put_raw(key, bytes);
        Ok(())
    }

    /// Gives a lease up, together with the last that is written under it.
    ///
    /// # Errors
    /// As for [`Self::fence`].
    pub async fn release(&mut self, token: &FencingToken) -> Result<(), DatabaseError> {
        let (key, stored) = self.fenced(token).await?;
        let released = Stored { holder: None, renewals: one_more(stored.renewals)?, ..stored };
        let bytes = encode(&key, &released)?;
        self.put_raw(key, bytes);
        Ok(())
    }

    /// Takes a lease away from whoever has it, for those who know that its
    /// holder is dead or must not go on: from the commit on its fences fail.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn revoke(&mut self, lease: impl KeyPart + Send) -> Result<(), DatabaseError> {
        let key = lease_key(&KeyPath::new(lease))?;
        let Some(bytes) = self.get_raw(&key).await? else { return Ok(()) };
        let stored: Stored = decode(&key, &bytes)?;
        if stored.holder.is_some() {
            let revoked = Stored { holder: None, renewals: one_more(stored.renewals)?, ..stored };
            let bytes = encode(&key, &revoked)?;
            self.put_raw(key, bytes);
        }
        Ok(())
    }

    async fn fenced(&mut self, token: &FencingToken) -> Result<(Key, Stored), DatabaseError> {
        let key = token.key()?;
        let Some(bytes) = self.get_raw(&key).await? else { return Err(token.lost()) };
        let stored: Stored = decode(&key, &bytes)?;
        if stored.epoch != token.epoch || stored.holder.is_none() {
            return Err(token.lost());
        }
        Ok((key, stored))
    }
}
