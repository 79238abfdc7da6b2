//! What holds of whatever a client sends.

use proptest::prelude::*;

use crate::http2::frame;
use crate::http2::frame::PREFACE;
use crate::http2::frame::kind;
use crate::http2::kit::*;

/// Frames of which many make sense.
fn any_frame() -> impl Strategy<Value = Vec<u8>> {
    let stream = 0_u32..8;
    prop_oneof![
        stream.clone().prop_map(get),
        stream.clone().prop_map(post),
        (stream.clone(), any::<u8>(), proptest::collection::vec(any::<u8>(), 0..40))
            .prop_map(|(stream, flags, bytes)| data(stream, flags, &bytes)),
        (stream.clone(), 0_u32..200_000).prop_map(|(stream, more)| number(
            kind::WINDOW_UPDATE,
            stream,
            more
        )),
        (stream.clone(), 0_u32..12).prop_map(|(stream, code)| number(
            kind::RST_STREAM,
            stream,
            code
        )),
        stream.clone().prop_map(|stream| trailers(stream, &[("x", "y")])),
        (0_u16..8, 0_u32..100_000)
            .prop_map(|setting| written(|to| frame::settings(to, &[setting]))),
        (0_u8..12, any::<u8>(), stream, proptest::collection::vec(any::<u8>(), 0..40))
            .prop_map(|(kind, flags, stream, bytes)| frame(kind, flags, stream, &bytes)),
    ]
}

/// All that can be seen of what came of these bytes.
fn seen(pieces: &[&[u8]]) -> String {
    let mut lab = Lab::silent();
    for piece in pieces {
        lab.say(piece);
    }
    let heads: Vec<_> = lab.accepted.iter().map(|it| format!("{it:?}")).collect();
    let mut bodies = Vec::new();
    let mut replies = Vec::new();
    while !lab.accepted.is_empty() {
        let (mut request, reply) = lab.request();
        bodies.push(taken(request.body_mut()));
        replies.push((request, reply));
    }
    let (fault, heard) = (lab.fault(), lab.heard());
    let machine = lab.connection.machine();
    // Nothing is owed after the end.
    let unfinished = machine.unfinished().filter(|_| fault.is_none());
    format!("{fault:?} {heard:?} {heads:?} {bodies:?} {unfinished:?} {}", machine.data())
}

proptest! {
    #[test]
    fn pieces_of_any_size_are_the_same(
        frames in proptest::collection::vec(any_frame(), 0..12),
        cuts in proptest::collection::vec(1_usize..60, 1..40),
    ) {
        let mut bytes = PREFACE.to_vec();
        bytes.extend(frame(kind::SETTINGS, 0, 0, &[]));
        bytes.extend(frames.concat());
        let mut pieces = Vec::new();
        let mut rest = &bytes[..];
        for cut in cuts.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (piece, left) = rest.split_at((*cut).min(rest.len()));
            pieces.push(piece);
            rest = left;
        }
        prop_assert_eq!(seen(&pieces), seen(&[&bytes]));
    }

    #[test]
    fn no_bytes_are_too_strange(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        seen(&[&bytes]);
        seen(&[PREFACE, &frame(kind::SETTINGS, 0, 0, &[]), &bytes]);
    }

    /// A client that keeps to its windows is never told that it does not, and its room comes back.
    #[test]
    fn what_is_taken_comes_back_as_room(
        steps in proptest::collection::vec((0_usize..3, 0_usize..17_000, 0_u8..4), 1..200),
    ) {
        let mut lab = Lab::open(&[]);
        let mut bodies: Vec<_> = (0..3).map(|number| {
            lab.say(&post(number * 2 + 1));
            Some(lab.request())
        }).collect();
        let (mut connection, mut windows) = (1_i64 << 20, [512_i64 << 10; 3]);
        for (at, length, what) in steps {
            let stream = at as u32 * 2 + 1;
            match what {
                0 => if let Some((request, _)) = &mut bodies[at] {
                    taken(request.body_mut());
                }
                1 if length > 16_500 => bodies[at] = None,
                _ => {
                    let length = (length as i64).min(connection).min(windows[at]).min(16 << 10);
                    lab.say(&data(stream, 0, &vec![0; length as usize]));
                    connection -= length;
                    windows[at] -= length;
                }
            }
            for (head, payload) in lab.heard() {
                if head.kind != kind::WINDOW_UPDATE {
                    prop_assert_eq!(head.kind, kind::RST_STREAM);
                    continue;
                }
                let more = i64::from(frame::number_at(&payload, 0).expect("a number"));
                match head.stream {
                    0 => connection += more,
                    stream => windows[(stream / 2) as usize] += more,
                }
            }
            prop_assert!(connection <= 1 << 20);
        }
        prop_assert_eq!(lab.fault(), None);
        bodies.clear();
        lab.heard_of(kind::WINDOW_UPDATE).iter().for_each(|(head, payload)| {
            if head.stream == 0 {
                connection += i64::from(frame::number_at(payload, 0).expect("a number"));
            }
        });
        prop_assert!(connection > 1 << 19, "half of it is there, and the rest is owed");
    }
}
