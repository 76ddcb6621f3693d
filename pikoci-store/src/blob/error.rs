//! What errors of an object store mean.

use std::error::Error as _;

use object_store::Error;
use pikoci_core::blob::{BlobError, BlobErrorKind};

#[cfg(feature = "s3")]
use crate::error::{OpenError, OpenErrorKind};

/// The error of a call that failed to do `what` in the store called `name`.
pub(super) fn failed(name: &str, what: &str, error: &Error) -> BlobError {
    let mut message = format!("failed to {what} in `{name}`");
    if refused(error) {
        message.push_str(", which said no: the keys are wrong or may not do that");
    }
    BlobError::new(BlobErrorKind::Unavailable, message).caused_by(said(error))
}

/// The error of a store called `name` that does not answer as one should when
/// it is opened.
#[cfg(feature = "s3")]
pub(super) fn unopened(name: &str, error: &Error) -> OpenError {
    let (kind, message) = match error {
        _ if refused(error) => (
            OpenErrorKind::Refused,
            format!("`{name}` said no: the keys are wrong or may not list what is there"),
        ),
        Error::NotFound { .. } => {
            (OpenErrorKind::Refused, format!("`{name}` is not there; create it first"))
        }
        _ => (OpenErrorKind::Unavailable, format!("`{name}` does not answer as it should")),
    };
    OpenError::new(kind, message).caused_by(said(error))
}

fn refused(error: &Error) -> bool {
    matches!(error, Error::PermissionDenied { .. } | Error::Unauthenticated { .. })
}

/// What the store said, without what may stand in the query of a URL: some
/// stores take signatures and keys there.
pub(super) fn said(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    without_queries(&text)
}

fn without_queries(text: &str) -> String {
    text.split_inclusive(char::is_whitespace)
        .map(|word| match word.split_once('?') {
            Some((url, query)) if url.contains("://") => {
                let end = query.trim_start_matches(|c: char| {
                    !c.is_whitespace() && !matches!(c, '"' | '\'' | ')' | ',')
                });
                format!("{url}?…{end}")
            }
            _ => word.to_owned(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_in_a_query_is_not_told() {
        let text = "error for url (https://a.net/b?sig=secret&x=1), why? it (http://c/?k=secret)";
        assert_eq!(
            without_queries(text),
            "error for url (https://a.net/b?…), why? it (http://c/?…)"
        );
    }
}
