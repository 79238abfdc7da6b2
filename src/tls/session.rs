//! TLS of one connection without its socket: records in, records out.
//!
//! rustls holds the keys and the state, and bytes lie where the caller wants them (its unbuffered API):
//! an established connection that is idle has no buffer of its own, and what TLS has to say by itself
//! can leave together with what the caller says.

use std::sync::Arc;

use bytes::BytesMut;
use rustls::CommonState;
use rustls::Error;
use rustls::ServerConfig;
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::ConnectionState;
use rustls::unbuffered::EncodeError;
use rustls::unbuffered::EncodeTlsData;
use rustls::unbuffered::EncryptError;
use rustls::unbuffered::UnbufferedStatus;

/// The server's side of a connection.
pub(super) struct Session {
    tls: UnbufferedServerConnection,
    /// What was received and is not done with: the front of a record, or of a message in several records.
    /// rustls has places in it, and so is given it with each call.
    held: Vec<u8>,
    client_has_closed: bool,
    /// It has ended with this: rustls must not be asked again.
    failed: Option<Error>,
}

/// Where records are written to, from the front; the room grows when it must.
#[derive(Debug)]
pub(super) struct Records {
    room: Vec<u8>,
    filled: usize,
}

impl Session {
    pub(super) fn new(config: Arc<ServerConfig>) -> Result<Self, Error> {
        let tls = UnbufferedServerConnection::new(config)?;
        Ok(Self { tls, held: Vec::new(), client_has_closed: false, failed: None })
    }

    /// What has been agreed on.
    pub(super) fn agreed(&self) -> &CommonState {
        &self.tls
    }

    /// Whether the client has said that nothing follows.
    pub(super) fn client_has_closed(&self) -> bool {
        self.client_has_closed
    }

    /// What the next call of [`Session::read`] has to begin with.
    pub(super) fn held(&self) -> &[u8] {
        &self.held
    }

    /// Reads the whole records of `bytes`, in place, and gives `take` what they carry. What TLS has to say
    /// to that is added to `words`, last words after an error too.
    pub(super) fn read(
        &mut self,
        bytes: &mut [u8],
        words: &mut BytesMut,
        mut take: impl FnMut(&[u8]),
    ) -> Result<(), Error> {
        debug_assert!(bytes.starts_with(&self.held), "what is held comes first");
        let mut done = 0;
        let mut is_over = false;
        let mut heard = self.failed.clone().map_or(Ok(()), Err);
        while !is_over && heard.is_ok() {
            let UnbufferedStatus { mut discard, state } =
                self.tls.process_tls_records(&mut bytes[done..]);
            match state {
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    while let Some(record) = traffic.next_record() {
                        match record {
                            Ok(record) => {
                                discard += record.discard;
                                take(record.payload);
                            }
                            Err(error) => heard = Err(error),
                        }
                    }
                }
                Ok(ConnectionState::EncodeTlsData(record)) => heard = say(record, words),
                Ok(ConnectionState::TransmitTlsData(transmitted)) => transmitted.done(),
                Ok(ConnectionState::PeerClosed) => self.client_has_closed = true,
                // There is no early data, because no ticket offers it.
                Ok(_) => is_over = true,
                Err(error) => heard = Err(error),
            }
            done += discard;
        }
        self.held.clear();
        if done < bytes.len() {
            self.held.extend_from_slice(&bytes[done..]);
        } else {
            self.held = Vec::new();
        }
        if let Err(error) = &heard {
            self.fail(error.clone(), words);
        }
        heard
    }

    /// Encrypts `plain` behind what `records` has already.
    pub(super) fn write(&mut self, plain: &[u8], records: &mut Records) -> Result<(), Error> {
        let mut words = BytesMut::new();
        self.failed.clone().map_or(Ok(()), Err)?;
        loop {
            match self.tls.process_tls_records(&mut self.held).state {
                Ok(ConnectionState::WriteTraffic(mut traffic)) => {
                    records.append(&words);
                    return records.fill(plain.len() + OVERHEAD, |room| {
                        match traffic.encrypt(plain, room) {
                            Ok(written) => Ok(Ok(written)),
                            Err(EncryptError::InsufficientSize(least)) => {
                                Ok(Err(least.required_size))
                            }
                            Err(EncryptError::EncryptExhausted) => Err(Error::EncryptError),
                        }
                    });
                }
                Ok(ConnectionState::EncodeTlsData(record)) => say(record, &mut words)?,
                Ok(ConnectionState::TransmitTlsData(transmitted)) => transmitted.done(),
                Ok(ConnectionState::PeerClosed) => self.client_has_closed = true,
                Ok(_) => return Err(Error::HandshakeNotComplete),
                Err(error) => {
                    self.fail(error.clone(), &mut words);
                    records.append(&words);
                    return Err(error);
                }
            }
        }
    }

    /// Adds to `words` that nothing follows; nothing, where there can be no word any more.
    pub(super) fn close(&mut self, words: &mut BytesMut) {
        while self.failed.is_none() {
            match self.tls.process_tls_records(&mut self.held).state {
                Ok(ConnectionState::WriteTraffic(mut traffic)) => {
                    let mut alert = [0; OVERHEAD];
                    if let Ok(written) = traffic.queue_close_notify(&mut alert) {
                        words.extend_from_slice(&alert[..written]);
                    }
                    return;
                }
                Ok(ConnectionState::EncodeTlsData(record)) => {
                    if say(record, words).is_err() {
                        return;
                    }
                }
                Ok(ConnectionState::TransmitTlsData(transmitted)) => transmitted.done(),
                Ok(ConnectionState::PeerClosed) => self.client_has_closed = true,
                Ok(_) => return,
                Err(error) => self.fail(error, words),
            }
        }
    }

    /// Ends here, with what is to be said about it and was to be said before.
    fn fail(&mut self, error: Error, words: &mut BytesMut) {
        if self.failed.is_some() {
            return;
        }
        self.failed = Some(error);
        // Not more often: it would read on.
        while self.tls.wants_write() {
            match self.tls.process_tls_records(&mut self.held).state {
                Ok(ConnectionState::EncodeTlsData(record)) => {
                    if say(record, words).is_err() {
                        return;
                    }
                }
                Ok(_) | Err(_) => return,
            }
        }
    }
}

impl Records {
    pub(super) const fn new() -> Self {
        Self { room: Vec::new(), filled: 0 }
    }

    /// Begins anew; the room stays.
    pub(super) fn clear(&mut self) {
        self.filled = 0;
    }

    pub(super) fn as_slice(&self) -> &[u8] {
        &self.room[..self.filled]
    }

    /// Adds records that were made elsewhere.
    pub(super) fn append(&mut self, records: &[u8]) {
        self.make_room(records.len());
        self.room[self.filled..][..records.len()].copy_from_slice(records);
        self.filled += records.len();
    }

    /// Lets `write` write into the room that is left; it says how much it wrote or would need.
    fn fill(
        &mut self,
        estimate: usize,
        mut write: impl FnMut(&mut [u8]) -> Result<Result<usize, usize>, Error>,
    ) -> Result<(), Error> {
        let mut needed = estimate;
        loop {
            self.make_room(needed);
            match write(&mut self.room[self.filled..])? {
                Ok(written) => {
                    self.filled += written;
                    return Ok(());
                }
                Err(more) => needed = more.max(needed + 1),
            }
        }
    }

    fn make_room(&mut self, needed: usize) {
        if self.room.len() - self.filled < needed {
            self.room.resize(self.filled + needed, 0);
        }
    }
}

/// Adds a record that TLS has to say by itself.
fn say<Data>(mut record: EncodeTlsData<'_, Data>, words: &mut BytesMut) -> Result<(), Error> {
    let start = words.len();
    let mut room = 0;
    loop {
        match record.encode(&mut words[start..]) {
            Ok(written) => {
                words.truncate(start + written);
                return Ok(());
            }
            Err(EncodeError::InsufficientSize(needed)) if needed.required_size > room => {
                room = needed.required_size;
                words.resize(start + room, 0);
            }
            Err(error) => return Err(Error::General(error.to_string())),
        }
    }
}

/// What records take beside what they carry: enough for 64 KiB, and for an alert. rustls says when it is not.
const OVERHEAD: usize = 256;
