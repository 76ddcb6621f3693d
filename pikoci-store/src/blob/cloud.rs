//! Blobs in S3 and its kin: `s3://`, `gs://`, `az://` and `abfs://`.
//!
//! Keys come from the environment, by the names that each provider's own
//! tools use (`AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`,
//! `GOOGLE_APPLICATION_CREDENTIALS`, `AZURE_STORAGE_ACCOUNT_KEY`, …), or from
//! the machine's own identity where it has one. They never stand in a URL.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::path::Path;
use object_store::{BackoffConfig, ClientOptions, GetOptions, ObjectStore, RetryConfig};
use url::Url;

use super::error::{said, unopened};
use super::object::ObjectBlobStore;
use crate::error::{OpenError, OpenErrorKind};
use crate::url::BackendUrl;

/// How long the first answer may take.
const FIRST_ANSWER: Duration = Duration::from_secs(30);

/// Opens the blobs at `url` and looks whether they can be listed.
pub(crate) async fn open(url: &BackendUrl) -> Result<ObjectBlobStore, OpenError> {
    use_ring();
    let target = Target::of(url)?;
    let store = match url.scheme() {
        "gs" => gs(&target),
        "az" | "abfs" => azure(&target),
        _ => s3(&target),
    };
    let store = store.map_err(|error| {
        let message = format!("`{}` cannot be opened as it is set up", target.name);
        OpenError::new(OpenErrorKind::Url, message).caused_by(said(&error))
    })?;
    let uploads = Path::from(target.prefix.as_str()).join("tmp");
    match tokio::time::timeout(FIRST_ANSWER, look(&*store, &uploads)).await {
        Ok(Ok(())) => Ok(ObjectBlobStore::new(target.name, store, &target.prefix)),
        Ok(Err(error)) => Err(unopened(&target.name, &error)),
        Err(_) => Err(OpenError::new(
            OpenErrorKind::Unavailable,
            format!("`{}` gave no answer; is it up, and are its keys set?", target.name),
        )),
    }
}

/// Looks whether names can be listed. The error of a listing does not tell
/// why it failed, so one for an object that is not there is asked for then.
async fn look(store: &dyn ObjectStore, uploads: &Path) -> Result<(), object_store::Error> {
    let Some(Err(error)) = store.list(Some(uploads)).next().await else { return Ok(()) };
    let absent = uploads.clone().join("none");
    match store.get_opts(&absent, GetOptions { head: true, ..GetOptions::default() }).await {
        Err(plain @ object_store::Error::PermissionDenied { .. })
        | Err(plain @ object_store::Error::Unauthenticated { .. })
        | Err(plain @ object_store::Error::NotFound { .. }) => Err(plain),
        _ => Err(error),
    }
}

/// rustls wants one provider of cryptography for the whole process. Whoever
/// embeds this may have chosen one.
fn use_ring() {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // Another thread may have been quicker, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
}

/// What a URL says.
struct Target {
    /// The URL without its options.
    name: String,
    bucket: String,
    /// The account of `abfs://CONTAINER@ACCOUNT.…`.
    account: Option<String>,
    prefix: String,
    region: Option<String>,
    endpoint: Option<Url>,
    allow_http: bool,
    virtual_hosted: Option<bool>,
}

impl Target {
    fn of(url: &BackendUrl) -> Result<Self, OpenError> {
        let wrong = |message: String| OpenError::new(OpenErrorKind::Url, message);
        let parsed = url.parse()?;
        let scheme = url.scheme();
        let host = parsed.host_str().filter(|host| !host.is_empty());
        let host = host.ok_or_else(|| {
            wrong(format!(
                "it names no bucket; say `{scheme}://BUCKET` or `{scheme}://BUCKET/PREFIX`"
            ))
        })?;
        let user = Some(parsed.username()).filter(|user| !user.is_empty());
        if parsed.password().is_some() || (user.is_some() && scheme != "abfs") {
            return Err(wrong(format!(
                "keys do not belong in the URL of `{scheme}://{host}`; set them in the environment"
            )));
        }
        let (bucket, account) = match user {
            Some(container) => (container, host.split('.').next().map(str::to_owned)),
            None => (host, None),
        };
        let prefix = parsed.path().trim_matches('/').to_owned();
        let slash = if prefix.is_empty() { "" } else { "/" };
        let mut target = Self {
            name: format!("{scheme}://{bucket}{slash}{prefix}"),
            bucket: bucket.to_owned(),
            account,
            prefix,
            region: None,
            endpoint: None,
            allow_http: false,
            virtual_hosted: None,
        };
        for (option, value) in parsed.query_pairs() {
            target.set(scheme, &option, &value).map_err(wrong)?;
        }
        target.allow_http |= target.endpoint.as_ref().is_some_and(is_loopback);
        if let Some(endpoint) = target.endpoint.as_ref().filter(|url| url.scheme() == "http")
            && !target.allow_http
        {
            return Err(wrong(format!(
                "`{endpoint}` is not encrypted; say `allow_http=true` too if that is what you want"
            )));
        }
        Ok(target)
    }

    fn set(&mut self, scheme: &str, option: &str, value: &str) -> Result<(), String> {
        let switch = |value: &str| match value {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err(format!("`{option}` of `{}` is `true` or `false`", self.name)),
        };
        match (scheme, option) {
            (_, "endpoint") => {
                let endpoint = Url::parse(value).ok().filter(Url::has_host);
                let name = &self.name;
                self.endpoint =
                    Some(endpoint.ok_or_else(|| format!("`endpoint` of `{name}` is no URL"))?);
            }
            (_, "allow_http") => self.allow_http = switch(value)?,
            ("s3", "region") => self.region = Some(value.to_owned()),
            ("s3", "virtual_hosted") => self.virtual_hosted = Some(switch(value)?),
            ("az" | "abfs", "account") => self.account = Some(value.to_owned()),
            _ => {
                let more = match scheme {
                    "s3" => ", `region` and `virtual_hosted`",
                    "gs" => "",
                    _ => " and `account`",
                };
                return Err(format!(
                    "`{}` has no option `{option}`; known are `endpoint`, `allow_http`{more}",
                    self.name
                ));
            }
        }
        Ok(())
    }

    /// The endpoint as the builders take it.
    fn endpoint(&self) -> Option<&str> {
        self.endpoint.as_ref().map(|url| url.as_str().trim_end_matches('/'))
    }

    fn client(&self) -> ClientOptions {
        // A limit for a whole request would end the reading of a large blob.
        ClientOptions::new()
            .with_allow_http(self.allow_http)
            .with_connect_timeout(Duration::from_secs(5))
            .with_timeout_disabled()
            .with_read_timeout(Duration::from_secs(60))
    }
}

fn retry() -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig {
            init_backoff: Duration::from_millis(100),
            max_backoff: Duration::from_secs(5),
            base: 2.0,
        },
        max_retries: 6,
        retry_timeout: Duration::from_secs(60),
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

type Built = Result<Arc<dyn ObjectStore>, object_store::Error>;

fn s3(target: &Target) -> Built {
    let mut builder = AmazonS3Builder::from_env()
        .with_bucket_name(&target.bucket)
        .with_client_options(target.client())
        .with_retry(retry());
    if let Some(virtual_hosted) = target.virtual_hosted {
        builder = builder.with_virtual_hosted_style_request(virtual_hosted);
    }
    if let Some(region) = &target.region {
        builder = builder.with_region(region);
    }
    if let Some(endpoint) = target.endpoint() {
        builder = builder.with_endpoint(endpoint);
    }
    Ok(Arc::new(builder.build()?))
}

fn gs(target: &Target) -> Built {
    let mut builder = GoogleCloudStorageBuilder::from_env()
        .with_bucket_name(&target.bucket)
        .with_client_options(target.client())
        .with_retry(retry());
    if let Some(endpoint) = target.endpoint() {
        builder = builder.with_base_url(endpoint);
    }
    Ok(Arc::new(builder.build()?))
}

fn azure(target: &Target) -> Built {
    let mut builder = MicrosoftAzureBuilder::from_env()
        .with_container_name(&target.bucket)
        .with_client_options(target.client())
        .with_retry(retry());
    if let Some(account) = &target.account {
        builder = builder.with_account(account);
    }
    if let Some(endpoint) = target.endpoint() {
        builder = builder.with_endpoint(endpoint.to_owned());
    }
    Ok(Arc::new(builder.build()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(url: &str) -> Result<Target, OpenError> {
        Target::of(&url.parse().expect("a URL"))
    }

    #[test]
    fn a_url_names_bucket_prefix_and_options() {
        let url = "s3://ci/a/b/?region=eu-1&endpoint=http://127.0.0.1:9000/&virtual_hosted=true";
        let it = target(url).expect("right");
        assert_eq!((it.bucket.as_str(), it.prefix.as_str()), ("ci", "a/b"));
        assert_eq!(it.name, "s3://ci/a/b");
        assert_eq!(it.region.as_deref(), Some("eu-1"));
        assert_eq!(it.endpoint(), Some("http://127.0.0.1:9000"));
        assert!(it.allow_http && it.virtual_hosted == Some(true));
        let it = target("abfs://box@acct.dfs.core.windows.net/a").expect("right");
        assert_eq!((it.bucket.as_str(), it.account.as_deref()), ("box", Some("acct")));
        assert!(target("s3://ci?endpoint=http://minio:9000&allow_http=true").is_ok());
    }

    #[test]
    fn what_is_wrong_with_a_url_is_told_without_its_secrets() {
        for (url, says) in [
            ("s3://", "names no bucket"),
            ("s3://KEY:SECRET@ci", "keys do not belong"),
            ("s3://SECRET@ci", "keys do not belong"),
            ("s3://ci?secret_access_key=SECRET", "no option `secret_access_key`"),
            ("gs://ci?region=x", "no option `region`"),
            ("s3://ci?allow_http=SECRET", "`true` or `false`"),
            ("s3://ci?endpoint=SECRET", "is no URL"),
            ("s3://ci?endpoint=http://minio:9000", "`allow_http=true`"),
        ] {
            let error = target(url).map(|it| it.name).expect_err(url);
            assert!(error.message.contains(says), "{url}: {error}");
            assert!(!error.message.contains("SECRET"), "{error}");
            assert_eq!(error.kind, OpenErrorKind::Url);
        }
    }
}
