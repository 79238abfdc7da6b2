//! Windows and turns, as those who send see them.

use http::StatusCode;
use proptest::prelude::*;

use crate::http2::Sending;
use crate::http2::frame::END_STREAM;
use crate::http2::frame::kind;
use crate::http2::kit::*;
use crate::message::Fields;

/// Streams whose responses have begun.
fn begun(lab: &mut Lab, count: u32) -> Vec<Sending> {
    let begin = |number: u32| {
        lab.say(&get(number * 2 + 1));
        let (_, mut reply) = lab.request();
        reply.respond(StatusCode::OK, &Fields::new(), false).expect("sent");
        reply
    };
    let streams = (0..count).map(begin).collect();
    lab.heard();
    streams
}

fn lengths(lab: &mut Lab) -> Vec<(u32, u32)> {
    lab.heard_of(kind::DATA).iter().map(|(head, _)| (head.stream, head.length)).collect()
}

#[test]
fn a_body_ends_with_its_last_piece() {
    let mut lab = Lab::open(&[]);
    let mut streams = begun(&mut lab, 1);
    assert_eq!(sent(&mut streams[0], &[b'x'; 20_000], true), Ok(0));
    let heard = lab.heard();
    let frames: Vec<_> = heard.iter().map(|(head, _)| (head.length, head.flags)).collect();
    assert_eq!(frames, [(16_384, 0), (3_616, END_STREAM)]);
    assert!(sent(&mut streams[0], b"more", true).is_err(), "it has ended");
}

#[test]
fn a_stream_sends_as_much_as_its_client_has_room_for() {
    let mut lab = Lab::open(&[(4, 1000)]);
    let mut streams = begun(&mut lab, 1);
    assert_eq!(sent(&mut streams[0], &[0; 3000], false), Ok(2000));
    assert!(streams[0].lacks_window());
    lab.say(&number(kind::WINDOW_UPDATE, 1, 500));
    assert_eq!(sent(&mut streams[0], &[0; 2000], false), Ok(1500));
    // Less than none, and then a little.
    lab.say(&frame(kind::SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]));
    lab.say(&number(kind::WINDOW_UPDATE, 1, 1000));
    assert_eq!(sent(&mut streams[0], &[0; 1500], false), Ok(1500));
    lab.say(&number(kind::WINDOW_UPDATE, 1, 7));
    assert_eq!(sent(&mut streams[0], &[0; 1500], true), Ok(1493));
    assert_eq!(lengths(&mut lab), [(1, 1000), (1, 500), (1, 7)]);
}

#[test]
fn streams_take_turns_where_the_connection_has_little_room() {
    let mut lab = Lab::open(&[(4, 1 << 20)]);
    let mut streams = begun(&mut lab, 4);
    let mut left = [200_000; 4];
    // The first one has taken what the connection's window was, and the others wait.
    for (stream, left) in streams.iter_mut().zip(&mut left) {
        *left = sent(stream, &vec![0; *left], false).expect("open");
    }
    assert_eq!(lengths(&mut lab).iter().map(|(_, length)| length).sum::<u32>(), 65_535);
    assert!(streams.iter().all(Sending::lacks_window));
    let mut order = Vec::new();
    for _ in 0..8 {
        lab.say(&number(kind::WINDOW_UPDATE, 0, 16 << 10));
        for (stream, left) in streams.iter_mut().zip(&mut left) {
            *left = sent(stream, &vec![0; *left], false).expect("open");
        }
        order.extend(lengths(&mut lab));
    }
    let order: Vec<_> = order.into_iter().map(|(stream, _)| stream).collect();
    assert_eq!(
        order[..4],
        [1, 3, 5, 7].map(|stream| *order.iter().find(|it| **it == stream).expect("a turn"))
    );
    assert_eq!(order[..4], order[4..], "each as often as the others");
}

#[test]
fn those_who_wait_for_the_outbox_go_on_when_it_is_written_and_before_newcomers() {
    let mut lab = Lab::open(&[(4, 1 << 20)]);
    lab.say(&number(kind::WINDOW_UPDATE, 0, 1 << 24));
    let mut streams = begun(&mut lab, 3);
    let mut left = sent(&mut streams[0], &[0; 200_000], false).expect("open");
    let filled: u32 = lengths_without_writing(&lab);
    assert!((64 << 10..80 << 10).contains(&filled), "{filled}");
    assert!(!streams[0].lacks_window(), "it is not the client's window");
    assert_eq!(sent(&mut streams[1], &[0; 20_000], false), Ok(20_000));
    lab.heard();
    assert_eq!(sent(&mut streams[2], &[0; 20_000], false), Ok(20_000), "others were first");
    left = sent(&mut streams[0], &vec![0; left], false).expect("open");
    assert_eq!(sent(&mut streams[1], &[0; 20_000], false), Ok(20_000 - (16 << 10)));
    assert_eq!(sent(&mut streams[2], &[0; 20_000], false), Ok(20_000 - (16 << 10)));
    assert_eq!(lengths(&mut lab).iter().map(|(id, _)| *id).collect::<Vec<_>>(), [1, 3, 5]);
    assert!(left > 0);
}

#[test]
fn a_turn_is_passed_on_by_those_that_end() {
    let mut lab = Lab::open(&[(4, 1 << 20)]);
    let mut streams = begun(&mut lab, 2);
    assert_eq!(sent(&mut streams[0], &[0; 65_535], false), Ok(0));
    for stream in &mut streams {
        assert_eq!(sent(stream, b"more", false), Ok(4));
    }
    lab.heard();
    lab.say(&number(kind::WINDOW_UPDATE, 0, 100));
    let last = streams.pop().expect("two");
    drop(streams);
    let mut last = last;
    assert_eq!(sent(&mut last, b"more", false), Ok(0));
}

fn lengths_without_writing(lab: &Lab) -> u32 {
    let frames = frames(lab.connection.machine().outbox().bytes());
    frames.iter().filter(|(head, _)| head.kind == kind::DATA).map(|(head, _)| head.length).sum()
}

/// What a client, or one who sends, does next.
#[derive(Clone, Copy, Debug)]
enum Step {
    Send(usize, usize),
    Write,
    Window(u32, u32),
    Initial(u32),
    Reset(u32),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0_usize..4, 1_usize..100_000).prop_map(|(stream, count)| Step::Send(stream, count)),
        2 => Just(Step::Write),
        2 => (0_u32..5, 1_u32..50_000).prop_map(|(stream, more)| Step::Window(stream, more)),
        1 => (0_u32..100_000).prop_map(Step::Initial),
        1 => (0_u32..4).prop_map(Step::Reset),
    ]
}

proptest! {
    #[test]
    fn no_window_is_exceeded_and_all_that_has_room_is_sent(
        steps in proptest::collection::vec(step(), 1..80),
    ) {
        let mut lab = Lab::open(&[]);
        let mut streams = begun(&mut lab, 4);
        let (mut connection, mut windows, mut initial) = (65_535_i64, [65_535_i64; 4], 65_535_i64);
        let mut is_reset = [false; 4];
        let mut left = [0_usize; 4];
        for step in steps.into_iter().chain([Step::Write; 40]) {
            match step {
                Step::Send(stream, count) => left[stream] += count,
                Step::Write => {
                    for (head, _) in lab.heard_of(kind::DATA) {
                        let at = (head.stream / 2) as usize;
                        connection -= i64::from(head.length);
                        windows[at] -= i64::from(head.length);
                        prop_assert!(connection >= 0);
                        prop_assert!(head.length == 0 || windows[at] >= 0);
                    }
                }
                Step::Window(0, more) => {
                    lab.say(&number(kind::WINDOW_UPDATE, 0, more));
                    connection += i64::from(more);
                }
                Step::Window(stream, more) => {
                    lab.say(&number(kind::WINDOW_UPDATE, stream * 2 - 1, more));
                    windows[stream as usize - 1] += i64::from(more);
                }
                Step::Initial(window) => {
                    let payload = [&[0, 4][..], &window.to_be_bytes()].concat();
                    // What was written before it is the client's to have room for.
                    for (head, _) in lab.heard_of(kind::DATA) {
                        connection -= i64::from(head.length);
                        windows[(head.stream / 2) as usize] -= i64::from(head.length);
                    }
                    lab.say(&frame(kind::SETTINGS, 0, 0, &payload));
                    windows.iter_mut().for_each(|it| *it += i64::from(window) - initial);
                    initial = i64::from(window);
                }
                Step::Reset(stream) => {
                    lab.say(&number(kind::RST_STREAM, stream * 2 + 1, 8));
                    is_reset[stream as usize] = true;
                    left[stream as usize] = 0;
                }
            }
            for (at, stream) in streams.iter_mut().enumerate() {
                if left[at] > 0 {
                    match sent(stream, &vec![0; left[at]], false) {
                        Ok(rest) => left[at] = rest,
                        Err(_) => prop_assert!(is_reset[at]),
                    }
                }
            }
        }
        for at in 0..4 {
            let may_go_on = !is_reset[at] && left[at] > 0 && connection > 0 && windows[at] > 0;
            prop_assert!(!may_go_on, "stream {at} is stuck");
        }
    }
}
