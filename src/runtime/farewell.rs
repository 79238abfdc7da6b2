//! The last words to a client that gets no service: an alert, or a sentence in plain HTTP.

use tokio::net::TcpStream;

use crate::tls::alert;
use crate::tls::alert::Alert;
use crate::tls::read_hello::HelloError;

/// Answers a first message that is not a ClientHello.
pub async fn to_hello(mut stream: TcpStream, error: &HelloError) {
    let alert = error.alert();
    let words = match (error, &alert) {
        (HelloError::PlainHttp, _) => PLAIN_HTTP.as_bytes(),
        (_, Some(alert)) => alert,
        (_, None) => return,
    };
    // The client is leaving anyway: whether it heard us is its own affair.
    drop(alert::deliver(&mut stream, words).await);
}

/// Refuses a server name that no child owns (RFC 6066, section 3).
pub async fn unrecognized_name(mut stream: TcpStream) {
    drop(alert::deliver(&mut stream, &Alert::UnrecognizedName.record()).await);
}

/// What a browser shows after `http://name:443/`.
const PLAIN_HTTP: &str = "HTTP/1.1 400 Bad Request\r\n\
    content-type: text/plain; charset=utf-8\r\n\
    content-length: 60\r\n\
    connection: close\r\n\r\n\
    This port speaks TLS. Use https:// instead of http:// here.\n";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plain_answer_says_its_true_length() {
        let (head, body) = PLAIN_HTTP.split_once("\r\n\r\n").expect("a head and a body");
        assert!(head.contains(&format!("content-length: {}", body.len())), "{}", body.len());
    }
}
