//! The engine as its embedder holds it.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::bells::Bells;
use super::config::Configs;
use super::core::{Core, EngineOptions};
use super::error::EngineError;
use super::facts::FactsCache;
use super::hand_out::LocalDispatcher;
use super::observe::{Observer, Unobserved};
use crate::blob::{BlobStore, MemoryBlobStore};
use crate::catalog::Catalog;
use crate::clock::{Clock, SystemClock};
use crate::database::Database;
use crate::database::log::Logs;
use crate::dispatch::Dispatcher;
use crate::language::SourceLoader;
use crate::pubsub::PubSub;
use crate::store::{MemoryStore, Store};
use crate::traits::{ResourceType, Runner};
use crate::types::Types;

/// A CI engine: pipelines in, builds out. Clones are handles on the same engine.
///
/// It keeps everything in its [`Store`], runs no process itself and hands
/// builds to workers through its [`Dispatcher`]. Several engines may share a
/// store; each finds what the others do.
///
/// It works in tasks of the tokio runtime that it was built in, until
/// [`close`](Self::close) is called or the last handle is dropped.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

struct Inner {
    core: Arc<Core>,
    dispatcher: Arc<LocalDispatcher>,
    types: Types,
    catalog: Catalog,
    sources: Option<Arc<dyn SourceLoader + Send + Sync>>,
    stop: CancellationToken,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine")
            .field("store", &self.inner.core.database.store().to_string())
            .field("options", &self.inner.core.options)
            .finish_non_exhaustive()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Puts an [`Engine`] together.
#[derive(Debug)]
pub struct EngineBuilder {
    store: Option<Arc<dyn Store>>,
    pubsub: Option<Arc<dyn PubSub>>,
    blobs: Option<Arc<dyn BlobStore>>,
    clock: Option<Arc<dyn Clock>>,
    observer: Option<Arc<dyn Observer>>,
    types: Types,
    catalog: Option<Catalog>,
    sources: Option<Sources>,
    options: EngineOptions,
}

struct Sources(Arc<dyn SourceLoader + Send + Sync>);

impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sources")
    }
}

impl EngineBuilder {
    /// Where everything is kept; without one in memory, and gone with the engine.
    #[must_use]
    pub fn store(mut self, store: Arc<dyn Store>) -> Self {
        self.store = Some(store);
        self
    }

    /// What rings in other processes that have the same store open. One
    /// process needs none.
    #[must_use]
    pub fn pubsub(mut self, pubsub: Arc<dyn PubSub>) -> Self {
        self.pubsub = Some(pubsub);
        self
    }

    /// Where old logs and other bulk goes; without one into memory.
    #[must_use]
    pub fn blobs(mut self, blobs: Arc<dyn BlobStore>) -> Self {
        self.blobs = Some(blobs);
        self
    }

    /// Where the time and ids come from; the machine's unless told otherwise.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = Some(clock);
        self
    }

    /// Who hears of what may be counted and timed.
    #[must_use]
    pub fn observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observer = Some(observer);
        self
    }

    /// Adds types and runners, over those of the same names. What is
    /// registered here must be known to the workers too.
    #[must_use]
    pub fn register(mut self, types: Types) -> Self {
        self.types.runners.extend(types.runners);
        self.types.resource_types.extend(types.resource_types);
        self.types.service_types.extend(types.service_types);
        self.types.secret_types.extend(types.secret_types);
        self.types.notification_types.extend(types.notification_types);
        self
    }

    /// Registers a resource type, over one of the same name.
    #[must_use]
    pub fn resource_type(mut self, name: impl Into<String>, it: impl ResourceType) -> Self {
        self.types = self.types.resource_type(name, it);
        self
    }

    /// Registers a runner, over one of the same name.
    #[must_use]
    pub fn runner(mut self, name: impl Into<String>, it: impl Runner) -> Self {
        self.types = self.types.runner(name, it);
        self
    }

    /// What the language knows of types beside those registered, such as
    /// definitions in HCL that come with the program.
    #[must_use]
    pub fn catalog(mut self, catalog: Catalog) -> Self {
        self.catalog = Some(catalog);
        self
    }

    /// What fetches definitions of types from elsewhere; without one there are
    /// no others.
    #[must_use]
    pub fn sources(mut self, sources: Arc<dyn SourceLoader + Send + Sync>) -> Self {
        self.sources = Some(Sources(sources));
        self
    }

    /// How it goes about its work.
    #[must_use]
    pub fn options(mut self, options: EngineOptions) -> Self {
        self.options = options;
        self
    }

    /// An engine at work. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn build(self) -> Result<Engine, EngineError> {
        let mut options = self.options;
        let store = self.store.unwrap_or_else(|| {
            options.alone = true;
            Arc::new(MemoryStore::new())
        });
        let clock = self.clock.unwrap_or_else(|| Arc::new(SystemClock::new()));
        let blobs = self.blobs.unwrap_or_else(|| Arc::new(MemoryBlobStore::new()));
        let database = Database::new(store, clock);
        let core = Arc::new(Core {
            logs: Logs::new(database.clone(), blobs),
            bells: Arc::new(Bells::new(self.pubsub)),
            configs: Configs::default(),
            facts: FactsCache::default(),
            observer: self.observer.unwrap_or_else(|| Arc::new(Unobserved)),
            database,
            options,
        });
        let stop = CancellationToken::new();
        let dispatcher = LocalDispatcher::new(&core, &stop);
        let mut tasks = Vec::new();
        if !core.options.at_rest {
            dispatcher.work();
            tasks.extend(core.work(&dispatcher, &stop));
        }
        tasks.extend(core.bells.run(core.options.slow_look, core.clock(), &stop));
        let catalog = self.catalog.unwrap_or_default().with_types(&self.types);
        Ok(Engine {
            inner: Arc::new(Inner {
                core,
                dispatcher,
                types: self.types,
                catalog,
                sources: self.sources.map(|it| it.0),
                stop,
                tasks: Mutex::new(tasks),
            }),
        })
    }
}

impl Core {
    /// Starts what goes on by itself.
    fn work(
        self: &Arc<Self>,
        dispatcher: &Arc<LocalDispatcher>,
        stop: &CancellationToken,
    ) -> Vec<JoinHandle<()>> {
        let (core, token) = (Arc::clone(self), stop.clone());
        let schedule = tokio::spawn(async move { core.schedule(&token).await });
        let (core, token) = (Arc::clone(self), stop.clone());
        let relay = tokio::spawn(async move { core.relay(&token).await });
        let (core, token) = (Arc::clone(self), stop.clone());
        let upkeep = tokio::spawn(async move { core.upkeep(&token).await });
        let (core, token) = (Arc::clone(self), stop.clone());
        let dispatcher = Arc::clone(dispatcher);
        let checks = tokio::spawn(async move { core.check_resources(&dispatcher, &token).await });
        let (core, token) = (Arc::clone(self), stop.clone());
        let pipelines = tokio::spawn(async move { core.pipelines_work(&token).await });
        vec![schedule, relay, upkeep, checks, pipelines]
    }
}

impl Engine {
    /// Puts an engine together.
    pub fn builder() -> EngineBuilder {
        EngineBuilder {
            store: None,
            pubsub: None,
            blobs: None,
            clock: None,
            observer: None,
            types: Types::new(),
            catalog: None,
            sources: None,
            options: EngineOptions::default(),
        }
    }

    /// What workers claim builds from.
    pub fn dispatcher(&self) -> Arc<dyn Dispatcher> {
        Arc::clone(&self.inner.dispatcher) as Arc<dyn Dispatcher>
    }

    /// The types and runners that were registered.
    pub fn types(&self) -> &Types {
        &self.inner.types
    }

    /// What the language knows of types and runners.
    pub fn catalog(&self) -> &Catalog {
        &self.inner.catalog
    }

    pub(crate) fn sources(&self) -> Option<Arc<dyn SourceLoader + Send + Sync>> {
        self.inner.sources.clone()
    }

    /// What everything is kept in.
    pub fn database(&self) -> &Database {
        &self.inner.core.database
    }

    pub(crate) fn core(&self) -> &Core {
        &self.inner.core
    }

    /// Returns once the engine is closed.
    pub(crate) async fn closed(&self) {
        self.inner.stop.cancelled().await;
    }

    /// Lets no further work be claimed here and tells the workers so; what
    /// runs goes on. Another engine on the same store goes on handing out.
    pub fn drain(&self) {
        self.inner.dispatcher.drain();
    }

    /// Ends what the engine does by itself, and closes the store. Builds that
    /// workers still have go on when an engine opens the store again, if that
    /// is within the time to live of their sessions.
    ///
    /// # Errors
    /// When what was accepted could not be made durable.
    pub async fn close(&self) -> Result<(), EngineError> {
        self.inner.stop.cancel();
        let tasks = {
            let mut tasks = self.inner.tasks.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *tasks)
        };
        for task in tasks {
            // One that panicked has said so already.
            let _ = task.await;
        }
        self.inner.dispatcher.close().await;
        self.inner
            .core
            .database
            .store()
            .close()
            .await
            .map_err(crate::database::DatabaseError::from)?;
        Ok(())
    }
}
