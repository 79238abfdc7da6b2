//! The stream with a real client in memory: what goes in comes out, however it is cut.

use std::io;
use std::io::IoSlice;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::task::Context;
use std::task::Poll;

use aws_lc_rs::aead;
use proptest::prelude::*;
use rustls::ClientConnection;
use rustls::ConnectionTrafficSecrets;
use rustls::pki_types::ServerName;
use tokio::io::AsyncRead;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWrite;
use tokio::io::AsyncWriteExt;
use tokio::io::DuplexStream;
use tokio::io::ReadBuf;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::certificate::testing::Kind;
use crate::config::tls_profile::TlsVersion;
use crate::tls::acceptor::unix_now;
use crate::tls::read_hello::read_hello;
use crate::tls::stream::TlsStream;
use crate::tls::testing::Client;
use crate::tls::testing::acceptor;
use crate::tls::testing::profile;
use crate::tls::testing::run;
use crate::tls::transport::Transport;

type ClientStream = tokio_rustls::client::TlsStream<DuplexStream>;

/// Counts writes.
struct Counted(DuplexStream, Arc<AtomicUsize>);

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Counted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.1.fetch_add(1, Ordering::Relaxed);
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

impl Transport for Counted {}

/// A connection through a pipe with this much room, and how often the server has written to it.
struct Street {
    server: Box<TlsStream<Counted>>,
    client: ClientStream,
    writes: Arc<AtomicUsize>,
}

impl Street {
    async fn lay(version: TlsVersion, room: usize) -> Self {
        let (server_io, client_io) = tokio::io::duplex(room);
        let writes = Arc::new(AtomicUsize::new(0));
        let mut server_io = Counted(server_io, Arc::clone(&writes));
        let acceptor = acceptor(&profile(), &[Kind::P256]);
        let mut config = Client { versions: vec![version], ..Client::default() }.config().unwrap();
        config.enable_secret_extraction = true;
        let name = ServerName::try_from("shop.example.com").unwrap();
        let connecting = TlsConnector::from(Arc::new(config)).connect(name, client_io);
        let accepting = async {
            let hello = read_hello(&mut server_io).await.unwrap();
            let chosen = acceptor.choose(&hello.offer, unix_now());
            acceptor.accept(server_io, &hello, chosen).await.unwrap().0
        };
        let (client, server) = tokio::join!(connecting, accepting);
        Self { server, client: client.unwrap(), writes }
    }
}

#[test]
fn tickets_leave_with_the_first_response() {
    run(async {
        let Street { mut server, mut client, writes } =
            Street::lay(TlsVersion::Tls13, 1 << 16).await;
        client.write_all(b"request").await.unwrap();
        server.read_exact(&mut [0; 7]).await.unwrap();
        server.write_all(b"response").await.unwrap();
        assert_eq!(writes.load(Ordering::Relaxed), 2, "the flight, and the rest");
        client.read_exact(&mut [0; 8]).await.unwrap();
        assert_eq!(client.get_ref().1.tls13_tickets_received(), 1);
    });
}

#[test]
fn tickets_leave_with_the_end_where_there_was_no_response() {
    run(async {
        let Street { mut server, mut client, writes } =
            Street::lay(TlsVersion::Tls13, 1 << 16).await;
        let waiting = async {
            assert_eq!(server.read(&mut [0; 1]).await.unwrap(), 0, "close_notify is the end");
            assert_eq!(writes.load(Ordering::Relaxed), 1, "the flight");
            server.flush().await.unwrap();
            server.shutdown().await.unwrap();
            drop(server);
        };
        let asking = async {
            client.shutdown().await.unwrap();
            assert_eq!(client.read(&mut [0; 1]).await.unwrap(), 0);
            assert_eq!(client.get_ref().1.tls13_tickets_received(), 1);
        };
        tokio::join!(waiting, asking);
        assert_eq!(writes.load(Ordering::Relaxed), 2, "tickets and close_notify");
    });
}

#[test]
fn an_end_without_close_notify_is_no_end() {
    for version in [TlsVersion::Tls12, TlsVersion::Tls13] {
        run(async {
            let Street { mut server, client, .. } = Street::lay(version, 1 << 16).await;
            drop(client);
            let error = server.read(&mut [0; 1]).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        });
    }
}

#[test]
fn what_cannot_be_decrypted_is_answered_with_an_alert() {
    run(async {
        let Street { mut server, client, .. } = Street::lay(TlsVersion::Tls13, 1 << 16).await;
        let (mut io, mut tls) = client.into_inner();
        io.write_all(&[&[0x17, 3, 3, 0, 40][..], &[7; 40]].concat()).await.unwrap();
        let error = server.read(&mut [0; 1]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        assert!(server.write_all(b"more").await.is_err());
        drop(server);
        let told = take_in(&mut io, &mut tls).await.unwrap_err();
        assert_eq!(told, rustls::Error::AlertReceived(rustls::AlertDescription::BadRecordMac));
    });
}

/// rustls remembers places in what it was given: a write in between must not take them away.
#[test]
fn a_message_in_two_records_bears_a_write_between_them() {
    run(async {
        let Street { mut server, client, .. } = Street::lay(TlsVersion::Tls13, 1 << 16).await;
        let (mut io, tls) = client.into_inner();
        let secrets = tls.dangerous_extract_secrets().unwrap();
        let (sequence, ConnectionTrafficSecrets::Aes128Gcm { key, iv }) = secrets.tx else {
            panic!("another cipher suite");
        };
        let key = aead::UnboundKey::new(&aead::AES_128_GCM, key.as_ref()).unwrap();
        let key = aead::LessSafeKey::new(key);
        // key_update, that asks for none (RFC 8446, section 4.6.3).
        for (sent, part) in [&[24, 0, 0][..], &[1, 0]].iter().enumerate() {
            io.write_all(&handshake_record(&key, iv.as_ref(), sequence + sent as u64, part))
                .await
                .unwrap();
            let mut byte = [0; 1];
            let mut buffer = ReadBuf::new(&mut byte);
            let poll = |cx: &mut Context<'_>| {
                Poll::Ready(Pin::new(&mut server).poll_read(cx, &mut buffer).is_pending())
            };
            assert!(std::future::poll_fn(poll).await, "nothing to read yet");
            server.write_all(b"meanwhile").await.unwrap();
        }
        server.shutdown().await.unwrap();
    });
}

fn handshake_record(key: &aead::LessSafeKey, iv: &[u8], sequence: u64, message: &[u8]) -> Vec<u8> {
    let mut nonce: [u8; 12] = iv.try_into().unwrap();
    for (byte, counted) in nonce[4..].iter_mut().zip(sequence.to_be_bytes()) {
        *byte ^= counted;
    }
    let mut sealed = [message, &[22]].concat();
    let length = u16::try_from(sealed.len() + 16).unwrap().to_be_bytes();
    let head = [0x17, 3, 3, length[0], length[1]];
    let nonce = aead::Nonce::assume_unique_for_key(nonce);
    key.seal_in_place_append_tag(nonce, aead::Aad::from(head), &mut sealed).unwrap();
    [&head[..], &sealed].concat()
}

async fn take_in(io: &mut DuplexStream, tls: &mut ClientConnection) -> Result<(), rustls::Error> {
    let mut bytes = Vec::new();
    io.read_to_end(&mut bytes).await.unwrap();
    let mut bytes = &bytes[..];
    while !bytes.is_empty() {
        tls.read_tls(&mut bytes).unwrap();
        tls.process_new_packets()?;
    }
    Ok(())
}

/// Writes from several places at once, and as much as is taken.
async fn write_pieces(to: &mut (impl AsyncWrite + Unpin), mut pieces: &[Vec<u8>]) {
    let mut at = 0;
    while let Some(first) = pieces.first() {
        if at == first.len() {
            (pieces, at) = (&pieces[1..], 0);
            continue;
        }
        let slices: Vec<_> = std::iter::once(&first[at..])
            .chain(pieces[1..].iter().map(Vec::as_slice))
            .map(IoSlice::new)
            .collect();
        let mut written = to.write_vectored(&slices).await.unwrap();
        while written > 0 {
            let some = written.min(pieces[0].len() - at);
            at += some;
            written -= some;
            if at == pieces[0].len() && pieces.len() > 1 {
                (pieces, at) = (&pieces[1..], 0);
            }
        }
    }
    to.flush().await.unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn bytes_arrive_as_they_were(
        sizes in prop::collection::vec(0_usize..40_000, 1..6),
        room in 40_usize..40_000,
        is_new in any::<bool>(),
    ) {
        let version = if is_new { TlsVersion::Tls13 } else { TlsVersion::Tls12 };
        let pieces: Vec<Vec<u8>> = sizes
            .iter()
            .enumerate()
            .map(|(number, size)| (0..*size).map(|at| (at % 251 + number) as u8).collect())
            .collect();
        let sent = pieces.concat();
        let (there, back) = run(async {
            let Street { mut server, mut client, .. } = Street::lay(version, room).await;
            let (mut there, mut back) = (Vec::new(), Vec::new());
            let serving = async {
                server.read_to_end(&mut there).await.unwrap();
                write_pieces(&mut server, &pieces).await;
                server.shutdown().await.unwrap();
            };
            let asking = async {
                write_pieces(&mut client, &pieces).await;
                client.shutdown().await.unwrap();
                client.read_to_end(&mut back).await.unwrap();
            };
            tokio::join!(serving, asking);
            (there, back)
        });
        prop_assert!(there == sent, "to the server");
        prop_assert!(back == sent, "to the client");
    }
}

/// What a short connection costs is packets, too.
#[test]
fn the_last_words_and_the_end_are_one_packet() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (client, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
        let (mut client, mut server) = (client.unwrap(), accepted.unwrap().0);
        let sent =
            std::future::poll_fn(|cx| Pin::new(&mut server).poll_write_last(cx, b"bye")).await;
        assert_eq!(sent.unwrap(), 3);
        let early = client.try_read(&mut [0; 3]).unwrap_err();
        assert_eq!(early.kind(), io::ErrorKind::WouldBlock, "it waits for the end");
        server.shutdown().await.unwrap();
        let mut all = Vec::new();
        client.read_to_end(&mut all).await.unwrap();
        assert_eq!(all, b"bye");
    });
}
