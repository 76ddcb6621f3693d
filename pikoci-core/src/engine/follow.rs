//! Following what happens, from any number on.

use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt as _, stream};

use super::bells::Bell;
use super::engine::Engine;
use super::error::EngineError;
use super::team::TeamEvent;
use crate::database::log::{LogError, LogReader, ReadLimit};
use crate::event::{Event, EventKind};
use crate::name::BuildId;

impl Engine {
    /// Events of a build from number `from` on, at most a few hundred; none
    /// when there are none yet.
    ///
    /// # Errors
    /// When there is no such build, or its events cannot be read.
    pub async fn events(&self, build: BuildId, from: u64) -> Result<Vec<Event>, EngineError> {
        let mut reader = self.core().log(build)?.reader(from);
        read(&mut reader, build).await
    }

    /// The events of a build from number `from` on, each once and in order,
    /// those to come included; ends after the last one. After an error it
    /// ends, and can be followed again from the number after the last event.
    pub fn follow(
        &self,
        build: BuildId,
        from: u64,
    ) -> BoxStream<'static, Result<Event, EngineError>> {
        let engine = self.clone();
        let log = match engine.core().log(build) {
            Ok(log) => log,
            Err(error) => return stream::iter([Err(error)]).boxed(),
        };
        let follower = Follower {
            reader: log.reader(from),
            bell: engine.core().bells.listen_to_build(build),
            slow: engine.core().bells.listen(Bell::Events),
            build,
            ended: false,
            engine,
        };
        let pages = stream::unfold(follower, |mut follower| async move {
            let page = follower.next().await?;
            Some((stream::iter(page), follower))
        });
        pages.flatten().boxed()
    }

    /// Events of a team from number `from` on, at most a few hundred; none
    /// when there are none yet. The oldest ones are deleted in time; then it
    /// begins with the first that is left.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn team_events(&self, team: &str, from: u64) -> Result<Vec<TeamEvent>, EngineError> {
        self.core().team_events(team, from).await
    }

    /// The number of the next event of a team: where to follow it from to hear
    /// only what is to come.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn next_team_event(&self, team: &str) -> Result<u64, EngineError> {
        self.core().next_team_event(team).await
    }

    /// The events of a team from number `from` on, each once and in order,
    /// those to come included. Ends when the engine is closed, or after an error.
    pub fn follow_team(
        &self,
        team: &str,
        from: u64,
    ) -> BoxStream<'static, Result<TeamEvent, EngineError>> {
        let bell = self.core().bells.listen(Bell::Events);
        let state = (self.clone(), team.to_owned(), from, bell, false);
        let pages = stream::unfold(state, |(engine, team, from, mut bell, over)| async move {
            if over {
                return None;
            }
            loop {
                bell.mark_heard();
                match engine.core().team_events(&team, from).await {
                    Ok(events) if events.is_empty() => {
                        tokio::select! {
                            biased;
                            () = engine.closed() => return None,
                            () = bell.heard() => {}
                        }
                    }
                    Ok(events) => {
                        let next = events.last().map_or(from, |event| event.number + 1);
                        let page: Vec<_> = events.into_iter().map(Ok).collect();
                        return Some((stream::iter(page), (engine, team, next, bell, false)));
                    }
                    Err(error) => {
                        let page = vec![Err(error)];
                        return Some((stream::iter(page), (engine, team, from, bell, true)));
                    }
                }
            }
        });
        pages.flatten().boxed()
    }
}

struct Follower {
    reader: LogReader,
    bell: super::bells::Ear,
    slow: super::bells::Ear,
    build: BuildId,
    ended: bool,
    engine: Engine,
}

impl Follower {
    async fn next(&mut self) -> Option<Vec<Result<Event, EngineError>>> {
        if self.ended {
            return None;
        }
        loop {
            self.bell.mark_heard();
            match read(&mut self.reader, self.build).await {
                Ok(events) if events.is_empty() => {
                    tokio::select! {
                        biased;
                        () = self.engine.closed() => {
                            self.ended = true;
                            return Some(vec![Err(EngineError::Closed)]);
                        }
                        () = self.bell.heard() => {}
                        () = self.slow.heard() => {}
                    }
                }
                Ok(events) => {
                    self.ended = events.last().is_some_and(is_end);
                    return Some(events.into_iter().map(Ok).collect());
                }
                Err(error) => {
                    self.ended = true;
                    return Some(vec![Err(error)]);
                }
            }
        }
    }
}

fn is_end(event: &Event) -> bool {
    matches!(event.kind, EventKind::BuildFinished { .. })
}

async fn read(reader: &mut LogReader, build: BuildId) -> Result<Vec<Event>, EngineError> {
    let page = match reader.read(ReadLimit::default()).await {
        Ok(page) => page,
        Err(LogError::NotFound { .. }) => {
            return Err(EngineError::not_found("build", build.to_string()));
        }
        Err(error) => return Err(error.into()),
    };
    let event = |(number, entry): (u64, &Bytes)| {
        serde_json::from_slice::<Event>(entry).map_err(|error| {
            EngineError::invalid(format!("event {number} of build {build} is damaged: {error}"))
        })
    };
    (page.first..).zip(&page.entries).map(event).collect()
}
