//! Logging in, and again when the token has run out.

use std::fmt;

use tokio::sync::Mutex;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

use super::config::Credentials;
use super::proto::AuthenticateRequest;
use super::proto::auth_client::AuthClient;

/// What goes along with every request.
#[derive(Clone, PartialEq)]
pub(super) struct Headers {
    token: Option<MetadataValue<Ascii>>,
}

impl Interceptor for Headers {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        // A member that lost its cluster says so at once instead of waiting.
        request.metadata_mut().insert("hasleader", MetadataValue::from_static("true"));
        if let Some(token) = &self.token {
            request.metadata_mut().insert("token", token.clone());
        }
        Ok(request)
    }
}

/// Keeps the token of a user.
pub(super) struct Login {
    credentials: Option<Credentials>,
    headers: Mutex<Option<Headers>>,
}

impl Login {
    /// Logs in as this user; without one as nobody.
    pub(super) fn new(credentials: Option<Credentials>) -> Self {
        Self { credentials, headers: Mutex::new(None) }
    }

    /// The headers that requests need, after logging in if that is needed.
    pub(super) async fn headers(&self, channel: &Channel) -> Result<Headers, Status> {
        let Some(credentials) = &self.credentials else { return Ok(Headers { token: None }) };
        // Held while logging in, so that one does and the others wait for it.
        let mut held = self.headers.lock().await;
        if let Some(headers) = &*held {
            return Ok(headers.clone());
        }
        let headers = authenticate(channel, credentials).await?;
        Ok(held.insert(headers).clone())
    }

    /// These headers were refused: the next call logs in again. `false` when
    /// there is nothing to log in with.
    pub(super) async fn forget(&self, refused: &Headers) -> bool {
        let mut held = self.headers.lock().await;
        if held.as_ref() == Some(refused) {
            *held = None;
        }
        self.credentials.is_some()
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let user = self.credentials.as_ref().map(|credentials| &credentials.user);
        f.debug_struct("Login").field("user", &user).finish_non_exhaustive()
    }
}

async fn authenticate(channel: &Channel, credentials: &Credentials) -> Result<Headers, Status> {
    let request = AuthenticateRequest {
        name: credentials.user.clone(),
        password: credentials.password.clone(),
    };
    match AuthClient::new(channel.clone()).authenticate(request).await {
        Ok(response) => {
            let token = response.into_inner().token.parse();
            let token = token.map_err(|_| Status::internal("the token has strange characters"))?;
            Ok(Headers { token: Some(token) })
        }
        // Whoever may do everything may do so with a name, too.
        Err(status)
            if status.code() == Code::FailedPrecondition
                && status.message().contains("not enabled") =>
        {
            Ok(Headers { token: None })
        }
        Err(status) => Err(status),
    }
}
