//! What is done now and then: approvals that come too late, logs that were
//! begun to be compressed, history that is not kept.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::bells::Rings;
use super::builds::Ending;
use super::core::{Changed, Core, deadlines};
use super::error::EngineError;
use super::records::{BuildRecord, BuildState};
use crate::database::Part;
use crate::status::Status;

/// How often is looked.
const EVERY: Duration = Duration::from_secs(1);
/// How many things of a kind are done in one look.
const AT_ONCE: usize = 50;

impl Core {
    /// Does upkeep until `stop` fires.
    pub(crate) async fn upkeep(&self, stop: &CancellationToken) {
        let mut retention_due = self.clock().monotonic() + self.options.retention_every;
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = tokio::time::sleep(EVERY) => {}
            }
            if let Err(error) = self.end_late().await {
                tracing::warn!(%error, "builds whose approval is late were not ended");
            }
            if self.clock().monotonic() >= retention_due {
                retention_due = self.clock().monotonic() + self.options.retention_every;
                if let Err(error) = self.apply_retention().await {
                    tracing::warn!(%error, "history that is not kept was not removed");
                }
            }
            match self.logs.tidy(AT_ONCE).await {
                Ok(upkeep) => {
                    if let Some((log, error)) = upkeep.first_failure {
                        tracing::warn!(log, %error, "a log was not compressed");
                    }
                }
                Err(error) => tracing::warn!(%error, "logs were not compressed"),
            }
        }
    }

    /// Ends builds whose approval did not come in time.
    async fn end_late(&self) -> Result<(), EngineError> {
        let now = self.clock().now().as_microsecond();
        for item in deadlines().peek(&self.database, AT_ONCE).await? {
            let due = matches!(item.position.first(), Some(Part::Signed(at)) if *at <= now);
            if !due {
                return Ok(());
            }
            let context = (self, item);
            self.change(&context, |transaction, (core, item)| {
                Box::pin(async move {
                    let mut rings = Rings::default();
                    deadlines().take(transaction, item.position.clone()).await?;
                    let build = transaction.get::<BuildRecord>(&item.payload).await?;
                    let late = build.filter(|build| {
                        matches!(build.state, BuildState::Pending)
                            && build.approvals.iter().any(|it| !it.is_given())
                    });
                    if let Some(mut build) = late {
                        let reason = "its approval did not come in time";
                        let ending = Ending::of_waiting(Status::Failed, reason);
                        core.finish_in(transaction, &mut rings, &mut build, ending).await?;
                    }
                    Ok(Changed::new((), rings))
                })
            })
            .await?;
        }
        Ok(())
    }
}
