//! A pipe of the kernel: between two sockets it moves pages instead of bytes (splice(2)).

use std::io;
use std::os::fd::OwnedFd;
use std::task::Context;
use std::task::Poll;
use std::task::ready;

use rustix::io::Errno;
use rustix::pipe;
use rustix::pipe::PipeFlags;
use rustix::pipe::SpliceFlags;
use tokio::io::Interest;
use tokio::net::TcpStream;

use crate::spares::Spares;

/// A pipe with what is in it. Dropped, both are gone; [`give_back`](Self::give_back) keeps an empty
/// one for the next stream of this worker.
#[derive(Debug)]
pub struct Pipe {
    reader: OwnedFd,
    writer: OwnedFd,
    held: usize,
}

impl Pipe {
    /// One that this worker has to spare, or a new one.
    ///
    /// # Errors
    ///
    /// No descriptors, or none for this user.
    pub fn take() -> io::Result<Self> {
        if let Some(spare) = Spares::take(&SPARE) {
            return Ok(spare);
        }
        let (reader, writer) = pipe::pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        // A user who has many pipes already gets small ones: those do too.
        let _ = pipe::fcntl_setpipe_size(&writer, SIZE);
        Ok(Self { reader, writer, held: 0 })
    }

    /// Nothing is to be moved at the moment: an idle stream holds no descriptors.
    pub fn give_back(self) {
        if self.held == 0 {
            Spares::keep(&SPARE, self);
        }
    }

    /// Whether all that went in has come out.
    pub fn is_empty(&self) -> bool {
        self.held == 0
    }

    /// Takes from a socket what it has. The pipe must be empty: a full one could not be told from a
    /// socket that has nothing. 0: the other end has finished.
    pub fn poll_fill(
        &mut self,
        cx: &mut Context<'_>,
        source: &TcpStream,
    ) -> Poll<io::Result<usize>> {
        debug_assert!(self.is_empty(), "a full pipe looks like an empty socket");
        loop {
            ready!(source.poll_read_ready(cx))?;
            let splice = || splice(source, &self.writer, SIZE, SpliceFlags::empty());
            match source.try_io(Interest::READABLE, splice) {
                Ok(count) => {
                    self.held = count;
                    return Poll::Ready(Ok(count));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    /// Gives to a socket what it takes.
    pub fn poll_drain(
        &mut self,
        cx: &mut Context<'_>,
        sink: &TcpStream,
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(sink.poll_write_ready(cx))?;
            let splice = || splice(&self.reader, sink, self.held, SpliceFlags::empty());
            match sink.try_io(Interest::WRITABLE, splice) {
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Ok(count) => {
                    self.held -= count;
                    return Poll::Ready(Ok(count));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

fn splice(
    from: impl std::os::fd::AsFd,
    to: impl std::os::fd::AsFd,
    length: usize,
    flags: SpliceFlags,
) -> io::Result<usize> {
    let flags = flags | SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
    loop {
        match pipe::splice(&from, None, &to, None, length, flags) {
            Err(Errno::INTR) => {}
            moved => return moved.map_err(Into::into),
        }
    }
}

thread_local! {
    /// Empty pipes of this worker: a burst of a stream that is silent most of the time costs no
    /// system calls for a pipe.
    static SPARE: Spares<Pipe> = const { Spares::new(SPARES) };
}

/// As many as streams of one worker move bulk at the same moment, usually; two descriptors each.
const SPARES: usize = 16;

/// Bytes that are asked for at once. The kernel counts pages: packets fill a slot each, however short
/// they are, so that the default of 64 KiB takes some 20 KiB of a real network.
const SIZE: usize = 256 * 1024;

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;

    use super::*;

    #[test]
    fn an_empty_pipe_is_used_again_and_one_with_bytes_in_it_is_not() {
        let mut pipe = Pipe::take().expect("descriptors");
        pipe.held = 1;
        pipe.give_back();
        assert!(Spares::take(&SPARE).is_none());
        Pipe::take().expect("descriptors").give_back();
        let again = Spares::take(&SPARE).expect("the spare one");
        assert!(again.is_empty() && Spares::take(&SPARE).is_none());
        let descriptor = again.reader.as_raw_fd();
        again.give_back();
        let taken = Pipe::take().expect("the spare one");
        assert_eq!(taken.reader.as_raw_fd(), descriptor);
        assert!(Spares::take(&SPARE).is_none());
    }
}
