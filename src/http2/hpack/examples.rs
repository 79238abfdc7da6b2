//! The examples of RFC 7541, appendices C.2 to C.6, through the decoder.

use super::Broken;
use super::Field;
use super::Name;
use super::Pseudo;
use super::decoder::Decoder;

/// A block, the fields in it, the table behind it from the newest entry on, and what that counts.
type Step<'a> = (&'a str, &'a [&'a str], &'a [&'a str], usize);

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<_> = hex.chars().filter_map(|digit| digit.to_digit(16)).collect();
    digits.chunks(2).map(|two| (two[0] << 4 | two[1]) as u8).collect()
}

/// A field as a line; `!` in front of a value that is never to be indexed.
fn line(field: &Field) -> String {
    let (name, value) = match field {
        Field::Pseudo(pseudo, value) => (format!(":{pseudo:?}").to_lowercase(), &value[..]),
        Field::Regular(name, value) if value.is_sensitive() => {
            return format!("{name}: !{}", value.to_str().expect("text"));
        }
        Field::Regular(name, value) => (name.to_string(), value.as_bytes()),
        Field::Malformed(malformed) => panic!("{malformed:?}"),
    };
    format!("{name}: {}", str::from_utf8(value).expect("text"))
}

fn decoded(decoder: &mut Decoder, block: &[u8]) -> Result<Vec<String>, Broken> {
    let mut lines = Vec::new();
    decoder.decode(block, |field, size| {
        let line = line(&field);
        let colon_space_and_mark = if line.contains(": !") { 3 } else { 2 };
        assert_eq!(size, line.len() - colon_space_and_mark + 32, "{line}");
        lines.push(line);
    })?;
    Ok(lines)
}

/// All entries of the dynamic table, by their indices.
fn table(decoder: &mut Decoder) -> Vec<String> {
    (62_u8..).map_while(|index| decoded(decoder, &[0x80 | index]).ok()).flatten().collect()
}

fn check(most: usize, steps: &[Step<'_>]) {
    let mut decoder = Decoder::new(most);
    for (block, fields, entries, size) in steps {
        assert_eq!(decoded(&mut decoder, &bytes(block)).as_deref(), Ok(&owned(fields)[..]));
        assert_eq!(table(&mut decoder), owned(entries));
        assert_eq!(decoder.table_size(), *size);
    }
}

fn owned(lines: &[&str]) -> Vec<String> {
    lines.iter().map(|line| (*line).to_owned()).collect()
}

#[test]
fn c_2_one_field() {
    let custom = ["custom-key: custom-header"];
    let block = "400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572";
    check(4096, &[(block, &custom, &custom, 55)]);
    let block = "040c 2f73 616d 706c 652f 7061 7468";
    check(4096, &[(block, &[":path: /sample/path"], &[], 0)]);
    let block = "1008 7061 7373 776f 7264 0673 6563 7265 74";
    check(4096, &[(block, &["password: !secret"], &[], 0)]);
    check(4096, &[("82", &[":method: GET"], &[], 0)]);
}

/// The requests of C.3 and C.4: the same, without Huffman code and with it.
fn check_requests(blocks: [&str; 3]) {
    let authority = ":authority: www.example.com";
    let (no_cache, custom) = ("cache-control: no-cache", "custom-key: custom-value");
    let get = [":method: GET", ":scheme: http", ":path: /", authority];
    let third = [":method: GET", ":scheme: https", ":path: /index.html", authority, custom];
    let steps: [Step<'_>; 3] = [
        (blocks[0], &get, &[authority], 57),
        (blocks[1], &[&get[..], &[no_cache]].concat(), &[no_cache, authority], 110),
        (blocks[2], &third, &[custom, no_cache, authority], 164),
    ];
    check(4096, &steps);
}

#[test]
fn c_3_requests_without_huffman_code() {
    check_requests([
        "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
        "8286 84be 5808 6e6f 2d63 6163 6865",
        "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
    ]);
}

#[test]
fn c_4_requests_in_huffman_code() {
    check_requests([
        "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
        "8286 84be 5886 a8eb 1064 9cbf",
        "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
    ]);
}

/// The responses of C.5 and C.6, with a table of 256 bytes, which drops entries.
fn check_responses(blocks: [&str; 3]) {
    let (private, location) = ("cache-control: private", "location: https://www.example.com");
    let date = "date: Mon, 21 Oct 2013 20:13:21 GMT";
    let later = "date: Mon, 21 Oct 2013 20:13:22 GMT";
    let cookie = "set-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1";
    let (found, redirect, gzip) = (":status: 302", ":status: 307", "content-encoding: gzip");
    let steps: [Step<'_>; 3] = [
        (blocks[0], &[found, private, date, location], &[location, date, private, found], 222),
        (
            blocks[1],
            &[redirect, private, date, location],
            &[redirect, location, date, private],
            222,
        ),
        (
            blocks[2],
            &[":status: 200", private, later, location, gzip, cookie],
            &[cookie, gzip, later],
            215,
        ),
    ];
    check(256, &steps);
}

#[test]
fn c_5_responses_without_huffman_code() {
    check_responses([
        "4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133
         2032 303a 3133 3a32 3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70
         6c65 2e63 6f6d",
        "4803 3330 37c1 c0bf",
        "88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d
         54c0 5a04 677a 6970 7738 666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049
         5541 5851 5745 4f49 553b 206d 6178 2d61 6765 3d33 3630 303b 2076 6572 7369 6f6e
         3d31",
    ]);
}

#[test]
fn c_6_responses_in_huffman_code() {
    check_responses([
        "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6
         2d1b ff6e 919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3",
        "4883 640e ffc1 c0bf",
        "88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab
         77ad 94e7 821d d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f
         9587 3160 65c0 03ed 4ee5 b106 3d50 07",
    ]);
}

#[test]
fn every_beginning_of_a_block_is_truncated_or_whole() {
    let block =
        bytes("3fe1 1f20 3f81 0188 c161 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 84a6 2d1b ff");
    for end in 0..block.len() {
        let begun = Decoder::new(4096).decode(&block[..end], |_, _| {});
        assert!(!matches!(begun, Err(Broken::Huffman | Broken::Integer)), "{end}: {begun:?}");
    }
}

#[test]
fn pseudo_fields_are_told_from_others() {
    let mut names = Vec::new();
    let block = b"\x00\x09:protocol\x09websocket\x00\x05:path\x02/a";
    Decoder::new(4096)
        .decode(block, |field, _| match field {
            Field::Pseudo(pseudo, _) => names.push(Name::Pseudo(pseudo)),
            Field::Regular(name, _) => names.push(Name::Regular(name)),
            Field::Malformed(malformed) => panic!("{malformed:?}"),
        })
        .expect("a block");
    assert_eq!(names, [Name::Pseudo(Pseudo::Protocol), Name::Pseudo(Pseudo::Path)]);
}
