//! The store in an etcd cluster.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt};
use pikoci_core::Store;
use pikoci_core::store::{Entry, Key, KeyRange, Order, Outcome, StoreError, Txn};
use tokio::runtime::Handle;
use tokio::sync::{RwLock, RwLockReadGuard};
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::cluster::{CALL_TIME, Cluster, Connection, MAX_ANSWER_SIZE_BYTES};
use super::commit;
use super::config::Config;
use super::failure::{Failure, Verdict};
use super::keys::{FORMAT, Keys};
use super::leases::Leases;
use super::proto::kv_client::KvClient;
use super::proto::request_op::Request;
use super::proto::response_op::Response;
use super::proto::{
    KeyValue, PutRequest, RangeRequest, RangeResponse, SortOrder, TxnRequest, TxnResponse,
};
use super::watch::watch;
use crate::error::{OpenError, OpenErrorKind};
use crate::url::BackendUrl;

/// How long a cluster is waited for when it is opened.
const OPEN_TIME: Duration = Duration::from_secs(10);

/// A [`Store`] in an etcd cluster, version 3.4 or newer.
///
/// `etcd://[user:password@]host[:2379][,host[:2379]…][/prefix][?option…]`,
/// where user, password and prefix are percent-encoded. `etcds:`, or the
/// option `tls=1`, encrypts the connection; `ca=FILE` names the authority to
/// trust (without it: the usual ones), `cert=FILE` and `key=FILE` the client's
/// own certificate. Everything lies below the prefix, `pikoci/` without one;
/// no prefix may lie within another's.
///
/// Calls go to one member until it fails, then to the next; each is tried for
/// at most 20 seconds.
///
/// # What lies in etcd
/// | key | value |
/// |---|---|
/// | `PREFIX/format` | the version of this layout: `1` |
/// | `PREFIX/d/KEY` | the value of `KEY` |
/// | `PREFIX/c/ID` | the marker of the transaction with this id (32 hexadecimal digits): empty for a commit, `conflict` for a conflict. It settles a commit whose outcome was unknown, and goes away by its lease after 15 to 20 minutes |
///
/// # What the cluster needs
/// - Its default limits: `--max-txn-ops` of 128, `--max-request-bytes` of 1.5 MiB.
/// - `--auto-compaction-retention`, such as `1h`: only the latest revisions
///   are read, and without it the old ones fill the cluster's quota.
/// - With logins, the right to read and write the prefix.
///
/// # Bounds
/// - A descending [`scan`](Store::scan) reads its whole range within etcd,
///   however small the limit: keep such ranges narrow. Version 3.4 also goes
///   through the keys of an ascending one (half a second a million keys), which
///   later versions do not.
/// - A cluster restored from a backup may count revisions again that it had
///   given out. Stop all who use it before, and start them anew after.
pub struct EtcdStore {
    name: String,
    cluster: Arc<Cluster>,
    keys: Keys,
    leases: Leases,
    runtime: Handle,
    /// Each call holds it while it runs; `false` once the store is closed.
    open: RwLock<bool>,
    closing: CancellationToken,
    /// Ends the watches of a store that is dropped without being closed.
    _end: DropGuard,
}

impl EtcdStore {
    /// Opens the store at `url`, within about 10 seconds. Dropping the future
    /// harms nothing.
    ///
    /// # Errors
    /// When the URL makes no sense, no member answers or the login is refused,
    /// or a newer version wrote what is there.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub async fn open(url: &BackendUrl) -> Result<Self, OpenError> {
        let config = Config::read(url)?;
        let keys = Keys::new(&config.prefix);
        let closing = CancellationToken::new();
        let store = Self {
            name: url.to_string(),
            cluster: Arc::new(Cluster::new(config)?),
            keys,
            leases: Leases::default(),
            runtime: Handle::current(),
            open: RwLock::new(true),
            _end: closing.clone().drop_guard(),
            closing,
        };
        store.check_format().await?;
        Ok(store)
    }

    /// Whether what is there is of our layout; makes it so where nothing is.
    async fn check_format(&self) -> Result<(), OpenError> {
        let deadline = Instant::now() + OPEN_TIME;
        let key = self.keys.format();
        // Read first: a cluster out of space can still be read.
        let found = self.range(deadline, commit::read(key.clone())).await;
        let mut found = found.map_err(Failure::into_open_error)?.kvs;
        if found.is_empty() {
            let write = PutRequest { key: key.clone(), value: FORMAT.into(), lease: 0 };
            let request = TxnRequest {
                compare: vec![commit::compare(key.clone(), 0)],
                success: vec![commit::operation(Request::Put(write))],
                failure: vec![commit::operation(Request::Range(commit::read(key)))],
            };
            let response = self.txn(deadline, request).await.map_err(Failure::into_open_error)?;
            for answer in response.responses {
                if let Some(Response::Range(range)) = answer.response {
                    found = range.kvs;
                }
            }
        }
        match found.first() {
            Some(format) if format.value != FORMAT.as_bytes() => {
                let format = format.value.escape_ascii();
                let message = format!(
                    "`{self}` holds version `{format}` of the layout, this program knows \
                     `{FORMAT}`; use a newer one"
                );
                Err(OpenError::new(OpenErrorKind::Format, message))
            }
            _ => Ok(()),
        }
    }

    /// Held for as long as a call runs.
    async fn enter(&self) -> Result<RwLockReadGuard<'_, bool>, StoreError> {
        let open = self.open.read().await;
        if *open { Ok(open) } else { Err(StoreError::closed()) }
    }

    async fn range(
        &self,
        deadline: Instant,
        request: RangeRequest,
    ) -> Result<RangeResponse, Failure> {
        let call = |connection| {
            let request = request.clone();
            async move { client(connection).range(request).await }
        };
        self.cluster.call(deadline, call).await
    }

    async fn txn(&self, deadline: Instant, request: TxnRequest) -> Result<TxnResponse, Failure> {
        let call = |connection| {
            let request = request.clone();
            async move { client(connection).txn(request).await }
        };
        self.cluster.call(deadline, call).await
    }

    /// Commits a transaction that writes.
    async fn write(&self, deadline: Instant, txn: &Txn) -> Result<Outcome, StoreError> {
        let mut in_doubt = false;
        loop {
            let lease = self.leases.take(&self.cluster, deadline).await;
            let lease = lease.map_err(|failure| failure.into_commit_error(in_doubt))?;
            let request = commit::request(&self.keys, txn, lease)?;
            let failure = match self.txn(deadline, request).await {
                Ok(response) => return commit::outcome(&response),
                Err(failure) => failure,
            };
            in_doubt |= failure.in_doubt;
            match failure.verdict {
                Verdict::LeaseGone if Instant::now() < deadline => {
                    self.leases.lost(lease).await;
                    continue;
                }
                // It was answered, so the marker tells whether it was done.
                Verdict::NoSpace => {
                    let marker = commit::read(self.keys.marker(txn.id));
                    match self.range(deadline, marker).await {
                        Ok(found) => {
                            if let Some(outcome) = commit::marked(&found)? {
                                return Ok(outcome);
                            }
                        }
                        Err(_) => in_doubt = true,
                    }
                }
                _ => {}
            }
            return Err(failure.into_commit_error(in_doubt));
        }
    }
}

fn client(connection: Connection) -> KvClient<Connection> {
    KvClient::new(connection).max_decoding_message_size(MAX_ANSWER_SIZE_BYTES)
}

fn entry(found: KeyValue) -> Result<Entry, StoreError> {
    let revision = commit::revision(found.mod_revision)?;
    Ok(Entry { value: Bytes::from(found.value), revision })
}

impl fmt::Debug for EtcdStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EtcdStore").field("url", &self.name).finish_non_exhaustive()
    }
}

impl fmt::Display for EtcdStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

#[async_trait]
impl Store for EtcdStore {
    async fn get(&self, keys: &[Key]) -> Result<Vec<Option<Entry>>, StoreError> {
        let _running = self.enter().await?;
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let deadline = Instant::now() + CALL_TIME;
        let read =
            |key: &Key| commit::operation(Request::Range(commit::read(self.keys.entry(key))));
        let request =
            TxnRequest { success: keys.iter().map(read).collect(), ..TxnRequest::default() };
        let response = self.txn(deadline, request).await.map_err(Failure::into_error)?;
        if response.responses.len() != keys.len() {
            return Err(StoreError::damaged("etcd answered for other keys"));
        }
        let found = response.responses.into_iter().map(|answer| match answer.response {
            Some(Response::Range(mut range)) => range.kvs.pop().map(entry).transpose(),
            _ => Err(StoreError::damaged("etcd answered something else than it was asked")),
        });
        found.collect()
    }

    async fn scan(
        &self,
        range: &KeyRange,
        order: Order,
        limit: usize,
    ) -> Result<Vec<(Key, Entry)>, StoreError> {
        let _running = self.enter().await?;
        // To etcd, 0 is no limit.
        if limit == 0 || range.is_empty() {
            return Ok(Vec::new());
        }
        let deadline = Instant::now() + CALL_TIME;
        let (key, range_end) = self.keys.range(range);
        let sort_order = match order {
            // As they come; asked to sort, it would read the whole range first.
            Order::Ascending => SortOrder::None,
            Order::Descending => SortOrder::Descend,
        };
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let request =
            RangeRequest { limit, sort_order: sort_order.into(), range_end, ..commit::read(key) };
        let found = self.range(deadline, request).await.map_err(Failure::into_error)?.kvs;
        let owned = |mut found: KeyValue| {
            let key = self.keys.key(std::mem::take(&mut found.key))?;
            Ok((key, entry(found)?))
        };
        found.into_iter().map(owned).collect()
    }

    async fn commit(&self, txn: &Txn) -> Result<Outcome, StoreError> {
        let _running = self.enter().await?;
        let deadline = Instant::now() + CALL_TIME;
        if !txn.writes.is_empty() {
            return self.write(deadline, txn).await;
        }
        let request = commit::check_request(&self.keys, txn)?;
        let response = self.txn(deadline, request).await.map_err(Failure::into_error)?;
        commit::check_outcome(&response)
    }

    fn watch(&self, range: &KeyRange) -> Option<BoxStream<'static, ()>> {
        let closing = self.closing.clone();
        if range.is_empty() {
            let never = stream::pending().take_until(closing.cancelled_owned());
            return Some(never.boxed());
        }
        Some(watch(Arc::clone(&self.cluster), self.keys.range(range), closing, &self.runtime))
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.closing.cancel();
        // Waits for the calls that run; those that come meanwhile wait for this.
        *self.open.write().await = false;
        Ok(())
    }
}
