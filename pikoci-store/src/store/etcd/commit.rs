//! A transaction as etcd's, and what its answer means.
//!
//! Besides its writes a commit leaves a marker, a key named by the
//! transaction's id. A transaction whose marker is there is not done again,
//! so the same one can be sent as often as it takes to hear an answer: the
//! revision of the marker is the revision of the commit.
//!
//! A conflict needs no marker where it can only stay one: a key never has a
//! revision again that it had before. But a key that must be absent may be
//! removed later, and a request that was sent before and is still on its way
//! would then be done although a conflict was answered. Such a transaction
//! therefore leaves a marker of its conflict, too.

use bytes::Bytes;
use pikoci_core::store::{Check, Outcome, Revision, StoreError, Txn, Write};

use super::keys::Keys;
use super::proto::compare::TargetUnion;
use super::proto::request_op::Request;
use super::proto::response_op::Response;
use super::proto::{
    Compare, CompareResult, CompareTarget, DeleteRangeRequest, PutRequest, RangeRequest,
    RangeResponse, RequestOp, TxnRequest, TxnResponse,
};

/// What the marker of a commit holds.
const COMMITTED: &[u8] = b"";

/// What the marker of a conflict holds.
const CONFLICT: &[u8] = b"conflict";

/// An operation of a transaction.
pub(super) fn operation(request: Request) -> RequestOp {
    RequestOp { request: Some(request) }
}

/// Reads one key, as of the latest revision that a majority has.
pub(super) fn read(key: Bytes) -> RangeRequest {
    RangeRequest { key, ..RangeRequest::default() }
}

/// Holds when the last write of a key has this revision; 0 when there is no entry.
pub(super) fn compare(key: Bytes, revision: i64) -> Compare {
    Compare {
        result: CompareResult::Equal.into(),
        target: CompareTarget::Mod.into(),
        key,
        target_union: Some(TargetUnion::ModRevision(revision)),
    }
}

/// A revision as the store tells it.
pub(super) fn revision(revision: i64) -> Result<Revision, StoreError> {
    match u64::try_from(revision) {
        Ok(revision) if revision > 0 => Ok(Revision(revision)),
        _ => Err(StoreError::damaged(format!("etcd answered with the revision {revision}"))),
    }
}

fn compares(keys: &Keys, checks: &[Check]) -> Result<Vec<Compare>, StoreError> {
    let compare = |check: &Check| {
        let Check { key, revision } = check;
        let number = revision.map_or(Ok(0), |revision| i64::try_from(revision.0));
        let number = number.map_err(|_| {
            StoreError::invalid(format!("`{key}` cannot have a revision beyond {}", i64::MAX))
        })?;
        Ok(compare(keys.entry(key), number))
    };
    checks.iter().map(compare).collect()
}

/// A transaction that only checks.
pub(super) fn check_request(keys: &Keys, txn: &Txn) -> Result<TxnRequest, StoreError> {
    // Without any read etcd takes it for one that may be answered from what a
    // member happens to know.
    let latest = vec![operation(Request::Range(read(keys.format())))];
    Ok(TxnRequest {
        compare: compares(keys, &txn.checks)?,
        success: latest.clone(),
        failure: latest,
    })
}

/// What became of a transaction that only checks.
pub(super) fn check_outcome(response: &TxnResponse) -> Result<Outcome, StoreError> {
    if !response.succeeded {
        return Ok(Outcome::Conflict);
    }
    Ok(Outcome::Committed(revision(response.header.map_or(0, |header| header.revision))?))
}

/// A transaction that writes, with its marker on this lease.
pub(super) fn request(keys: &Keys, txn: &Txn, lease: i64) -> Result<TxnRequest, StoreError> {
    let marker = keys.marker(txn.id);
    let mark = |value: &'static [u8]| {
        let value = Bytes::from_static(value);
        operation(Request::Put(PutRequest { key: marker.clone(), value, lease }))
    };
    let look = operation(Request::Range(read(marker.clone())));
    let unmarked = compare(marker.clone(), 0);

    let write = |write: &Write| match write {
        Write::Put(key, value) => operation(Request::Put(PutRequest {
            key: keys.entry(key),
            value: value.clone(),
            lease: 0,
        })),
        Write::Delete(key) => {
            operation(Request::DeleteRange(DeleteRangeRequest { key: keys.entry(key) }))
        }
    };
    let mut request = TxnRequest {
        compare: compares(keys, &txn.checks)?,
        success: txn.writes.iter().map(write).collect(),
        failure: vec![look.clone()],
    };
    request.compare.push(unmarked.clone());
    request.success.push(mark(COMMITTED));
    if txn.checks.iter().any(|check| check.revision.is_none()) {
        let conflict = TxnRequest {
            compare: vec![unmarked],
            success: vec![mark(CONFLICT)],
            failure: vec![look],
        };
        request.failure = vec![operation(Request::Txn(conflict))];
    }
    Ok(request)
}

/// What became of a transaction that writes.
pub(super) fn outcome(response: &TxnResponse) -> Result<Outcome, StoreError> {
    if response.succeeded {
        return Ok(Outcome::Committed(revision(
            response.header.map_or(0, |header| header.revision),
        )?));
    }
    let answer = response.responses.first().and_then(|answer| answer.response.as_ref());
    match answer {
        Some(Response::Range(marker)) => Ok(marked(marker)?.unwrap_or(Outcome::Conflict)),
        Some(Response::Txn(conflict)) if conflict.succeeded => Ok(Outcome::Conflict),
        Some(Response::Txn(settled)) => outcome(settled),
        _ => Err(StoreError::damaged("etcd answered something else than it was asked")),
    }
}

/// What the marker of a transaction tells; `None` when there is none.
pub(super) fn marked(found: &RangeResponse) -> Result<Option<Outcome>, StoreError> {
    let Some(marker) = found.kvs.first() else { return Ok(None) };
    match &marker.value[..] {
        COMMITTED => Ok(Some(Outcome::Committed(revision(marker.mod_revision)?))),
        CONFLICT => Ok(Some(Outcome::Conflict)),
        _ => Err(StoreError::damaged(format!(
            "`{}` in etcd is no marker of ours",
            marker.key.escape_ascii()
        ))),
    }
}
