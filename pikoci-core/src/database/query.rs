//! What to list, in which order, and where to go on.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::error::DatabaseError;
use super::key_path::{KeyPart, KeyPath};
use crate::store::{Key, KeyRange, Order};

/// The most items of one page.
pub const MAX_PAGE_ITEMS: usize = 500;

/// The items of a page, unless told otherwise.
const PAGE_ITEMS: usize = 100;

/// What to list: which part, in which order, how many, and where to go on.
///
/// The part is given by leading parts of an id, or of the values of an index
/// (after which come the parts of the id, but for a unique one).
#[derive(Debug, Clone)]
pub struct Query {
    prefix: KeyPath,
    from: Option<KeyPath>,
    end: Option<End>,
    order: Order,
    limit: usize,
    after: Option<Cursor>,
}

#[derive(Debug, Clone)]
enum End {
    Until(KeyPath),
    Through(KeyPath),
}

impl Query {
    /// All, the first hundred in ascending order.
    pub fn all() -> Self {
        Self::below(())
    }

    /// Those that begin with these parts.
    pub fn below(prefix: impl KeyPart) -> Self {
        Self {
            prefix: KeyPath::new(prefix),
            from: None,
            end: None,
            order: Order::Ascending,
            limit: PAGE_ITEMS,
            after: None,
        }
    }

    /// Only those of which the next parts are `first` or come after it.
    #[must_use]
    pub fn from(mut self, first: impl KeyPart) -> Self {
        self.from = Some(KeyPath::new(first));
        self
    }

    /// Only those of which the next parts come before `end`.
    #[must_use]
    pub fn until(mut self, end: impl KeyPart) -> Self {
        self.end = Some(End::Until(KeyPath::new(end)));
        self
    }

    /// Only those of which the next parts begin with `last` or come before it.
    #[must_use]
    pub fn through(mut self, last: impl KeyPart) -> Self {
        self.end = Some(End::Through(KeyPath::new(last)));
        self
    }

    /// In this order.
    #[must_use]
    pub fn order(mut self, order: Order) -> Self {
        self.order = order;
        self
    }

    /// From the last one back.
    #[must_use]
    pub fn descending(self) -> Self {
        self.order(Order::Descending)
    }

    /// At most this many a page, of at most [`MAX_PAGE_ITEMS`].
    #[must_use]
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }

    /// Goes on where a page of the same query ended.
    #[must_use]
    pub fn after(mut self, cursor: Option<Cursor>) -> Self {
        self.after = cursor;
        self
    }

    /// The order of the items.
    pub(super) fn direction(&self) -> Order {
        self.order
    }

    /// The items of a page: at least one, or a listing would not come to its end.
    pub(super) fn page_items(&self) -> usize {
        self.limit.clamp(1, MAX_PAGE_ITEMS)
    }

    /// The keys asked for, of those that begin with `base`.
    pub(super) fn range(&self, base: &KeyPath) -> Result<KeyRange, DatabaseError> {
        let prefix = base.clone().then(&self.prefix);
        let within = |path: &KeyPath| prefix.clone().then(path).within();
        let whole = prefix.within();
        let start = self
            .from
            .as_ref()
            .map_or_else(|| whole.start().clone(), |from| within(from).start().clone());
        let end = match &self.end {
            Some(End::Until(end)) => Some(within(end).start().clone()),
            Some(End::Through(last)) => within(last).end().cloned(),
            None => whole.end().cloned(),
        };
        let range = KeyRange::new(start, end);
        let Some(cursor) = &self.after else { return Ok(range) };
        let key = Key::new([base.as_bytes(), &cursor.0].concat())?;
        if !range.contains(&key) {
            return Err(DatabaseError::Cursor);
        }
        Ok(match self.order {
            Order::Ascending => range.after(&key),
            Order::Descending => range.before(&key),
        })
    }
}

/// A part of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The items, in the order of the query. May be fewer than asked for, or
    /// none, also where there are more.
    pub items: Vec<T>,
    /// Where to go on; `None` at the end.
    pub next: Option<Cursor>,
}

/// A place in a listing: between an item and the next one, whatever comes or
/// goes around it. Good for ever, for the same query; as text it can be part
/// of a URL. What it says is nobody's business.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Cursor(Bytes);

impl Cursor {
    /// The place after `key`, which begins with `base`.
    pub(super) fn at(base: &KeyPath, key: &Key) -> Self {
        Self(key.to_bytes().slice(base.as_bytes().len()..))
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        BASE64_URL_SAFE_NO_PAD.encode(&self.0).fmt(f)
    }
}

impl FromStr for Cursor {
    type Err = DatabaseError;

    fn from_str(text: &str) -> Result<Self, DatabaseError> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).map_err(|_| DatabaseError::Cursor)?;
        Ok(Self(bytes.into()))
    }
}

impl From<Cursor> for String {
    fn from(cursor: Cursor) -> Self {
        cursor.to_string()
    }
}

impl TryFrom<String> for Cursor {
    type Error = DatabaseError;

    fn try_from(text: String) -> Result<Self, DatabaseError> {
        text.parse()
    }
}
