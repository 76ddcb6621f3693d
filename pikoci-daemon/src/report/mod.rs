//! Reporters: each folds the one event stream of a build into something to
//! read, and computes nothing else.
//!
//! - [`terminal`]: for people at a terminal, with a live area.
//! - [`plain`]: for logs and pipes, without an escape sequence.
//! - [`json`]: for programs, one event a line (`EVENTS.md`).

mod json;
mod plain;
mod sanitize;
mod steps;
mod style;
mod tail;
mod terminal;
#[cfg(test)]
mod testing;
mod width;

use std::convert::Infallible;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use pikoci_core::Event;
use pikoci_core::plan::EventSink;

use crate::output::Writer;

pub(crate) use json::Json;
pub(crate) use plain::Plain;
pub(crate) use steps::Attempts;
pub(crate) use terminal::Terminal;

/// Turns events into bytes for standard output.
pub(crate) trait Report: fmt::Debug + Send {
    /// Tells before a build what its events do not say: how many attempts its steps have.
    fn expect(&mut self, attempts: Attempts) {
        let _ = attempts;
    }

    /// Adds what there is to say about the next event.
    fn event(&mut self, event: &Event, out: &mut Vec<u8>);

    /// Adds what there is to say about a job that was not run.
    fn not_run(&mut self, job: &str, reason: &str, out: &mut Vec<u8>) {
        let _ = (job, reason, out);
    }

    /// How often to call [`tick`](Self::tick) while a build runs; `None` for never.
    fn tick_interval(&self) -> Option<Duration> {
        None
    }

    /// Adds what changes by time alone.
    fn tick(&mut self, out: &mut Vec<u8>) {
        let _ = out;
    }

    /// Adds a word to the person at the keyboard, where it does not belong
    /// into the data. Answers whether it did; else it goes to standard error.
    fn remark(&mut self, text: &str, out: &mut Vec<u8>) -> bool {
        let _ = (text, out);
        false
    }
}

/// The way from a build to standard output.
#[derive(Debug)]
pub(crate) struct Reporter {
    report: Mutex<Box<dyn Report>>,
    writer: Writer,
}

impl Reporter {
    /// A reporter that writes to `writer`.
    pub(crate) fn new(report: Box<dyn Report>, writer: Writer) -> Arc<Self> {
        Arc::new(Self { report: Mutex::new(report), writer })
    }

    fn with<T>(&self, f: impl FnOnce(&mut dyn Report, &mut Vec<u8>) -> T) -> T {
        let mut report = self.report.lock().unwrap_or_else(PoisonError::into_inner);
        self.writer.append(|out| f(report.as_mut(), out))
    }

    /// Tells how many attempts the steps of the next build have.
    pub(crate) fn expect(&self, attempts: Attempts) {
        self.with(|report, _| report.expect(attempts));
    }

    /// Tells of a job that was not run.
    pub(crate) fn not_run(&self, job: &str, reason: &str) {
        self.with(|report, out| report.not_run(job, reason, out));
    }

    /// Says something to the person at the keyboard.
    pub(crate) fn remark(&self, text: &str) {
        if !self.with(|report, out| report.remark(text, out)) {
            crate::output::note(text);
        }
    }

    /// Keeps what moves by itself moving, for ever. Cancel-safe.
    pub(crate) async fn animate(&self) -> Infallible {
        let Some(interval) = self.with(|report, _| report.tick_interval()) else {
            return std::future::pending().await;
        };
        let mut timer = tokio::time::interval(interval);
        timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            timer.tick().await;
            self.writer.room().await;
            self.with(|report, out| report.tick(out));
        }
    }

    /// Waits until all is written or the reader is gone. Cancel-safe.
    pub(crate) async fn drained(&self) {
        self.writer.drained().await;
    }

    /// Why nothing could be written any more, other than that the reader left.
    pub(crate) fn failure(&self) -> Option<String> {
        self.writer.failure()
    }

    /// Waits until the reader is gone. Cancel-safe.
    pub(crate) async fn reader_left(&self) {
        self.writer.broken().await;
    }
}

#[async_trait]
impl EventSink for Reporter {
    async fn event(&self, event: Event) {
        self.with(|report, out| report.event(&event, out));
        self.writer.room().await;
    }
}
