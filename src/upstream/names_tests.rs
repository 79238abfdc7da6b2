//! Names against a name server in this process.

use hickory_resolver::proto::op::Message;
use hickory_resolver::proto::rr::RData;
use hickory_resolver::proto::rr::Record;
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

use super::*;

/// What `app.test` has: a record, and its time to live in seconds.
type Zone = &'static [(&'static str, u32)];

/// Answers for `app.test`, but not for the family that is broken.
async fn server(zone: Zone, broken: Option<RecordType>) -> (SocketAddr, JoinHandle<()>) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    let task = tokio::spawn(async move {
        let mut buffer = [0; 1500];
        loop {
            let (length, client) = socket.recv_from(&mut buffer).await.unwrap();
            let query = Message::from_vec(&buffer[..length]).unwrap();
            let answer = answer(&query, zone, broken).to_vec().unwrap();
            socket.send_to(&answer, client).await.unwrap();
        }
    });
    (address, task)
}

fn answer(query: &Message, zone: Zone, broken: Option<RecordType>) -> Message {
    let question = query.queries[0].clone();
    let mut answer = Message::response(query.metadata.id, query.metadata.op_code);
    if broken == Some(question.query_type()) {
        answer.metadata.response_code = ResponseCode::ServFail;
    } else if question.name().to_ascii() != "app.test." {
        answer.metadata.response_code = ResponseCode::NXDomain;
    } else {
        for (address, ttl) in zone {
            let data = match address.parse().unwrap() {
                IpAddr::V4(address) => RData::A(address.into()),
                IpAddr::V6(address) => RData::AAAA(address.into()),
            };
            if data.record_type() == question.query_type() {
                answer.add_answer(Record::from_rdata(question.name().clone(), *ttl, data));
            }
        }
    }
    answer.add_query(question);
    answer
}

fn names(server: SocketAddr) -> Arc<Names> {
    let (min_ttl, max_ttl) = (Duration::from_secs(5), Duration::from_secs(60));
    Names::new(&Dns { servers: vec![server], min_ttl, max_ttl })
}

fn addresses(texts: &[&str]) -> Vec<IpAddr> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

/// SPEC PX-2.
#[tokio::test]
async fn both_families_are_an_answer_for_as_long_as_the_shorter_one_holds() {
    let (server, _task) =
        server(&[("10.0.0.2", 30), ("10.0.0.1", 20), ("fd00::1", 40)], None).await;
    let answer = names(server).look_up("app.test").await.unwrap();
    assert_eq!(answer.addresses, addresses(&["10.0.0.1", "10.0.0.2", "fd00::1"]));
    assert_eq!((answer.ttl, answer.silent), (Duration::from_secs(20), None));
}

#[tokio::test]
async fn a_time_to_live_has_bounds() {
    for (ttl, expected) in [(0, 5), (5, 5), (59, 59), (86_400, 60)] {
        let zone: Zone = vec![("10.0.0.1", ttl)].leak();
        let (server, _task) = server(zone, None).await;
        let answer = names(server).look_up("app.test").await.unwrap();
        assert_eq!(answer.ttl, Duration::from_secs(expected));
    }
}

#[tokio::test]
async fn a_family_that_fails_does_not_take_the_other_one_with_it() {
    let (server, _task) = server(&[("10.0.0.1", 30)], Some(RecordType::AAAA)).await;
    let answer = names(server).look_up("app.test").await.unwrap();
    assert_eq!(answer.silent, Some(Family::Ipv6));
    // What was known of it stays, and of the other one nothing does.
    let before = addresses(&["10.0.0.9", "fd00::1"]);
    assert_eq!(answer.after(&before), addresses(&["10.0.0.1", "fd00::1"]));
}

#[tokio::test]
async fn a_name_that_does_not_exist_is_not_a_server_that_fails() {
    let reason = |found: Result<Answer, LookupError>| found.unwrap_err().reason();
    let (ill, _task) = server(&[("fd00::1", 30)], Some(RecordType::A)).await;
    let asked = names(ill);
    assert_eq!(asked.look_up("app.test").await.unwrap().silent, Some(Family::Ipv4));
    assert_eq!(reason(asked.look_up("other.test").await), "no_answer");
    let (well, _task) = server(&[], None).await;
    let asked = names(well);
    assert_eq!(reason(asked.look_up("app.test").await), "no_address");
    assert_eq!(reason(asked.look_up("other.test").await), "no_address");
}

#[tokio::test]
async fn the_system_knows_localhost() {
    let answer = Names::new(&Dns::default()).look_up("localhost").await.unwrap();
    assert!(answer.addresses.iter().all(IpAddr::is_loopback), "{answer:?}");
    assert_eq!(answer.ttl, HOSTS_TTL);
}
