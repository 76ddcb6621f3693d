//! Opens the store.

use std::sync::Arc;
use std::time::Duration;

use pikoci_core::Store;
use sqlx::ConnectOptions;
use sqlx::postgres::PgConnectOptions;
use tokio::time::timeout;

use super::super::sql::SqlStore;
use super::super::sql::dialect::Dialect;
use super::super::sql::settings::{Allowed, Settings};
use super::dialect::Postgres;
use super::fault::open_error;
use super::schema;
use crate::error::{OpenError, OpenErrorKind};
use crate::url::BackendUrl;

/// How long it may take to connect.
const CONNECT: Duration = Duration::from_secs(10);

const ALLOWED: Allowed = Allowed {
    namespace: "schema",
    default_namespace: "pikoci",
    longest_namespace: 63,
    own: &[],
    driver: &[
        "sslmode",
        "ssl-mode",
        "sslrootcert",
        "ssl-root-cert",
        "ssl-ca",
        "sslcert",
        "ssl-cert",
        "sslkey",
        "ssl-key",
        "host",
        "application_name",
    ],
};

/// Opens the store at `url`; makes its tables if they are not there.
pub(crate) async fn open(url: &BackendUrl) -> Result<Arc<dyn Store>, OpenError> {
    let name = url.to_string();
    let settings = Settings::of(url, &ALLOWED)?;
    let options = PgConnectOptions::from_url(&settings.url).map_err(|error| {
        let message = format!("`{name}` has an option that makes no sense");
        OpenError::new(OpenErrorKind::Url, message).caused_by(error)
    })?;
    let application = options.get_application_name().unwrap_or("pikoci").to_owned();
    let options = options
        .application_name(&application)
        // A pooler refuses what it does not know.
        .extra_float_digits(None)
        // The statements hold all that is stored.
        .disable_statement_logging();
    let dialect = Postgres::new(options, settings.namespace);
    let Ok(connected) = timeout(CONNECT, dialect.connect()).await else {
        let message = format!("`{name}` does not answer");
        return Err(OpenError::new(OpenErrorKind::Unavailable, message));
    };
    let mut first = connected.map_err(|error| open_error(error, &name, dialect.schema()))?;
    schema::prepare(&mut first, &name, dialect.schema()).await?;
    Ok(Arc::new(SqlStore::new(dialect, name, settings.pool, first)))
}
