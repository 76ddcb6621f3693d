//! Reading what a command prints, in order and no faster than it is taken.

use std::io;
use std::os::fd::OwnedFd;

use bytes::Bytes;
use pikoci_core::StepIo;
use pikoci_core::event::OutputStream;
use rustix::buffer::spare_capacity;
use rustix::io::Errno;
use tokio::net::unix::pipe::Receiver;
use tokio::sync::Notify;

/// The largest chunk, in bytes; as much as a pipe holds.
const CHUNK: usize = 64 * 1024;
/// How much is read at most from a pipe whose writer is not waited for, in
/// bytes; as much as a pipe can be made to hold.
const DRAIN: usize = 1024 * 1024;

/// The reading ends of a command's two pipes.
#[derive(Debug)]
pub(super) struct Output {
    streams: [(OutputStream, Option<Receiver>); 2],
}

impl Output {
    pub(super) fn new(stdout: OwnedFd, stderr: OwnedFd) -> io::Result<Self> {
        let open = |pipe: OwnedFd| {
            rustix::io::ioctl_fionbio(&pipe, true)?;
            Receiver::from_owned_fd_unchecked(pipe).map(Some)
        };
        Ok(Self {
            streams: [(OutputStream::Stdout, open(stdout)?), (OutputStream::Stderr, open(stderr)?)],
        })
    }

    /// Hands everything to `io` until both pipes are closed, or until `stop`
    /// says that no one worth waiting for holds them any more: then what is in
    /// them is taken and that is all.
    pub(super) async fn pump(&mut self, io: &mut dyn StepIo, stop: &Notify) {
        let mut buffer = Vec::new();
        while self.is_open() {
            let (index, read) = tokio::select! {
                next = self.next(&mut buffer) => next,
                () = stop.notified() => break,
            };
            self.take(index, read, &buffer, io).await;
        }
        for index in 0..self.streams.len() {
            let mut taken = 0;
            while taken < DRAIN {
                // Not by readiness: what was written a moment ago may not have been noticed yet.
                let (_, Some(pipe)) = &self.streams[index] else {
                    break;
                };
                let read = read(pipe, &mut buffer);
                if read.is_none() {
                    break;
                }
                taken += buffer.len();
                self.take(index, read, &buffer, io).await;
            }
        }
    }

    /// Whether someone may still write to it.
    pub(super) fn is_open(&self) -> bool {
        self.streams.iter().any(|(_, pipe)| pipe.is_some())
    }

    /// Throws away what is printed until no one holds the pipes: a service
    /// whose reader is gone would die of its next line.
    pub(super) async fn discard(mut self) {
        let mut buffer = Vec::new();
        while self.is_open() {
            if let (index, Some(0)) = self.next(&mut buffer).await {
                self.streams[index].1 = None;
            }
        }
    }

    async fn take(
        &mut self,
        index: usize,
        read: Option<usize>,
        buffer: &[u8],
        io: &mut dyn StepIo,
    ) {
        let (stream, pipe) = &mut self.streams[index];
        match read {
            None => {}
            Some(0) => *pipe = None,
            Some(_) => io.output(*stream, Bytes::copy_from_slice(buffer)).await,
        }
    }

    /// Waits for either pipe and reads it once, see [`read`]. Cancel-safe.
    async fn next(&self, buffer: &mut Vec<u8>) -> (usize, Option<usize>) {
        let [(_, first), (_, second)] = &self.streams;
        let (index, pipe) = tokio::select! {
            pipe = readable(first.as_ref()) => (0, pipe),
            pipe = readable(second.as_ref()) => (1, pipe),
        };
        let Ok(pipe) = pipe else {
            return (index, Some(0));
        };
        // By way of `try_io`, so that an empty pipe is waited for again.
        let read = pipe.try_io(|| read(pipe, buffer).ok_or(io::ErrorKind::WouldBlock.into()));
        (index, read.ok())
    }
}

async fn readable(pipe: Option<&Receiver>) -> io::Result<&Receiver> {
    match pipe {
        Some(pipe) => pipe.readable().await.map(|()| pipe),
        None => std::future::pending().await,
    }
}

/// Reads once into `buffer`: how much, 0 at the end or after an error, `None`
/// when there is nothing yet.
fn read(pipe: &Receiver, buffer: &mut Vec<u8>) -> Option<usize> {
    buffer.clear();
    buffer.reserve(CHUNK);
    loop {
        match rustix::io::read(pipe, spare_capacity(buffer)) {
            Ok(count) => return Some(count),
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => return None,
            Err(_) => return Some(0),
        }
    }
}
