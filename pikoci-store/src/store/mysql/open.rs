//! Opens the store.

use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use pikoci_core::Store;
use sqlx::ConnectOptions;
use sqlx::mysql::MySqlConnectOptions;
use tokio::time::timeout;

use super::super::sql::SqlStore;
use super::super::sql::dialect::Dialect;
use super::super::sql::settings::{Allowed, Settings};
use super::dialect::MySql;
use super::fault::open_error;
use super::schema;
use super::server::{Durability, check};
use crate::error::{OpenError, OpenErrorKind};
use crate::url::BackendUrl;

/// How long it may take to connect.
const CONNECT: Duration = Duration::from_secs(10);

const ALLOWED: Allowed = Allowed {
    namespace: "prefix",
    default_namespace: "pikoci_",
    longest_namespace: 48,
    own: &[("durability", &["server"])],
    driver: &[
        "sslmode", "ssl-mode", "sslca", "ssl-ca", "sslcert", "ssl-cert", "sslkey", "ssl-key",
        "socket",
    ],
};

/// Opens the store at `url`; makes its tables if they are not there.
pub(crate) async fn open(url: &BackendUrl) -> Result<Arc<dyn Store>, OpenError> {
    let name = url.to_string();
    let settings = Settings::of(url, &ALLOWED)?;
    let options = MySqlConnectOptions::from_url(&settings.url).map_err(|error| {
        let message = format!("`{name}` has an option that makes no sense");
        OpenError::new(OpenErrorKind::Url, message).caused_by(error)
    })?;
    // The statements hold all that is stored.
    let options = options.disable_statement_logging();
    let prefix = settings.namespace.clone();
    let dialect = MySql { options, prefix: settings.namespace, commits: AtomicU32::new(0) };
    let Ok(connected) = timeout(CONNECT, dialect.connect()).await else {
        let message = format!("`{name}` does not answer");
        return Err(OpenError::new(OpenErrorKind::Unavailable, message));
    };
    let mut first = connected.map_err(|error| open_error(error, &name))?;
    // It has but one value.
    let durability = if settings.own.is_empty() { Durability::Full } else { Durability::Server };
    check(&mut first, &name, durability).await?;
    schema::prepare(&mut first, &name, &prefix).await?;
    Ok(Arc::new(SqlStore::new(dialect, name, settings.pool, first)))
}
