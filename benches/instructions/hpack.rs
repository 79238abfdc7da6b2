//! Heads over HTTP/2: blocks of fields read and written.

use std::hint::black_box;

use bytes::Bytes;
use http::HeaderName;
use http::HeaderValue;
use http::StatusCode;
use http::header;
use portcullis::http2::hpack::decoder::Decoder;
use portcullis::http2::hpack::encoder;

use crate::harness::Bench;

pub(crate) fn all(bench: &mut Bench) {
    let (first, next) = (bytes(FIRST), bytes(NEXT));
    bench.measure("hpack: first request of a connection", || {
        decode(&mut Decoder::new(4096), &first)
    });
    let mut decoder = Decoder::new(4096);
    decode(&mut decoder, &first);
    bench.measure("hpack: next request", || decode(&mut decoder, &next));
    let fields = response();
    let mut block = Vec::new();
    bench.measure("hpack: response", || {
        block.clear();
        encoder::status(&mut block, black_box(StatusCode::OK));
        for (name, value) in black_box(&fields) {
            encoder::field(&mut block, name, value);
        }
        block.len()
    });
}

fn decode(decoder: &mut Decoder, block: &[u8]) -> usize {
    let mut sizes = 0;
    let decoded = decoder.decode(black_box(block), |field, size| {
        sizes += size;
        black_box(field);
    });
    decoded.expect("a block");
    sizes
}

/// What an application answers with, by and large.
fn response() -> Vec<(HeaderName, HeaderValue)> {
    let text = "text/html; charset=utf-8";
    let cookie = "session=0123456789abcdef0123456789abcdef; Path=/; Secure; HttpOnly; SameSite=Lax";
    [
        (header::DATE, "Mon, 21 Oct 2013 20:13:22 GMT"),
        (header::CONTENT_TYPE, text),
        (header::CONTENT_LENGTH, "12345"),
        (header::CACHE_CONTROL, "private, max-age=0"),
        (header::ETAG, "\"0123456789abcdef\""),
        (header::VARY, "accept-encoding"),
        (header::SET_COOKIE, cookie),
        (header::STRICT_TRANSPORT_SECURITY, "max-age=31536000; includeSubDomains"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (HeaderName::from_static("x-request-id"), "0123456789abcdef0123456789abcdef"),
    ]
    .map(|(name, value)| (name, HeaderValue::from_static(value)))
    .into()
}

fn bytes(hex: &str) -> Bytes {
    let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).expect("hexadecimal digits");
    (0..hex.len()).step_by(2).map(byte).collect()
}

/// A browser's first request: 19 fields, all but the path added to the table.
const FIRST: &str = "\
    82418c44e7ad72f91d35d055c87a7f871491608348e83cd6958324b4a3fcac7316017f40874148b1275ad1ff\
    b8fe6f4f61e935b4ff3f7de0fe42d03f9fa53f9d274c10ff976c1d527f3f7de0fe44d7f3f4a7f388e79a82a9\
    7a7b0f497f9fbef07f21681fcf408b4148b1275ad1ad49e3350582ff01408d4148b1275ad1ad5d034ca7b29f\
    87fe739aab7cff3f4092b6b9ac1c8558d520a4b6c2ad617b5a54251f810f7aced07f66a281b0dae053fafc08\
    7ed4ce6aadf2a7979c89c6bfb521aeba0bc8b1e632586d975765c53facd8f7e8cff4a506ea5531149d4ffda9\
    7a7b0f49580b405c0b817029b8728ec330db2eaecb9f53c8497ca589d34d1f43aeba0c41a4c7a98f33a69a3f\
    df9a68fa1d75d0620d263d4c79a68fbed00177fe8d48e62b03ee697e8d48e62b1e0b1d7f46a4731581d754df\
    5f2c7cfdf6800bbd408a4148b4a549275906497f8840e92ac7b0d31aaf408a4148b4a549275a93c85f86a87d\
    cd30d25f408a4148b4a549275ad416cf82ff03408a4148b4a549275a42a13f8690e4b692d49f73929d29ad17\
    1861139eb5cbe474d7415721e96350929bd9abfa5242cb40d25fa523b3e94f684c9f518b2d4b70ddf45abefb\
    4005df609c4150831ea8001132d36e3af3e38c921650044cb4db8ebcf8e32485974086aec31ec327d785b600\
    7d286f";

/// Its next one: another path, and indices.
const NEXT: &str = "82cd871491608348e83cd6958324b4a3fcac7316067fcccbcac9c8c7c6c5c4c3c2c1c0bfbe";
