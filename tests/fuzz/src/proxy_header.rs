//! PROXY protocol headers: however the bytes are cut, they are the same header, and never more of the
//! connection than belongs to it.

use std::ops::ControlFlow;

use portcullis::proxy_protocol;

pub(crate) fn check(bytes: &[u8]) {
    let whole = proxy_protocol::parse(bytes);
    if let Ok(ControlFlow::Break(header)) = &whole {
        assert!(header.len <= bytes.len());
        assert_eq!(header.source.is_some(), header.destination.is_some());
        let tlvs: usize = header.tlvs(bytes).map(|(_, value)| 3 + value.len()).sum();
        assert!(tlvs <= header.len);
        let alone = proxy_protocol::parse(&bytes[..header.len]);
        assert_eq!(
            alone,
            Ok(ControlFlow::Break(header.clone())),
            "what follows it changes nothing"
        );
    }
    for end in 0..bytes.len() {
        match proxy_protocol::parse(&bytes[..end]) {
            Ok(ControlFlow::Continue(needed)) => assert!(needed > end),
            // Decided by what is there: more does not change it.
            decided => {
                assert_eq!(decided, whole);
                break;
            }
        }
    }
}
