use std::{fs, path::Path, sync::OnceLock};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use proptest::{prelude::*, test_runner::RngSeed};

proptest! {
    #![proptest_config(ProptestConfig {
        rng_seed: RngSeed::Fixed(0x1b),
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_table_finds_what_a_search_through_all_routes_finds(
        text in "(([ab]\\.){1,2}a )?(/([ab.]{0,2}|%2e)){1,3}/?\
                 (\n(((\\*\\.)?[ab]\\.)?a )?(/[ab]{0,2}){1,3}/?){0,5}"
    ) {
        super::route(text.as_bytes());
    }

    #[test]
    fn texts_that_look_like_claims_break_no_promise(
        lines in prop::collection::vec(
            ("(x[-_])?forwarded([-_](for|host|proto|by))?|x-real-ip|connection",
             "([ ,;=\"\\\\]|for|host|proto|10\\.0\\.0\\.[12]|192\\.0\\.2\\.2|\\[::1\\]|:80|x){0,12}"),
            0..5,
        )
    ) {
        let lines: Vec<_> = lines.iter().map(|(name, value)| format!("{name}:{value}")).collect();
        super::forwarded(lines.join("\n").as_bytes());
    }

    #[test]
    fn texts_that_look_like_cookies_break_no_promise(
        target in "(/|;LB=|\\?LB=|&|\\.a|x){0,5}",
        fields in prop::collection::vec("(LB|xLB|b|=|;|,| |\"|\\.|0{16}|abcdef0123456789){0,12}", 0..4)
    ) {
        super::cookie(format!("{target}\n{}", fields.join("\n")).as_bytes());
    }

    #[test]
    fn texts_that_look_like_heads_with_keys_break_no_promise(
        target in "(http://a)?/([a?&=%;/]|%61|A){0,10}",
        lines in prop::collection::vec(
            ("cookie|x-a|x-b|connection", "(a|A|x-a|=|;|,| |\"|\t|é){0,12}"), 0..5,
        )
    ) {
        let lines: Vec<_> = lines.iter().map(|(name, value)| format!("\n{name}:{value}")).collect();
        super::key(format!("GET {target}{}", lines.concat()).as_bytes());
    }

    #[test]
    fn texts_that_look_like_reports_break_no_promise(
        name in "((named_metrics|utilization)\\.)?(a|rif|eps)",
        value in "((TEXT|JSON|BIN) )?([ =:,.{}\"]|named_metrics|eps|cpuUtilization|a|rif|[0-9]){0,20}"
    ) {
        super::load_report(format!("{name}\n{value}").as_bytes());
    }

    #[test]
    fn bytes_that_look_like_messages_break_no_promise(
        bytes in prop::collection::vec(prop_oneof![0_u8..12, 0x40_u8..0x52, any::<u8>()], 0..40)
    ) {
        let text = STANDARD.encode(bytes);
        super::load_report(format!("eps\n{text}").as_bytes());
    }

    #[test]
    fn lines_of_all_files_in_any_order_break_no_promise(
        picked in prop::collection::vec((any::<prop::sample::Index>(), 0..60_usize), 0..25)
    ) {
        let lines = corpus_lines();
        let parts = picked.iter().map(|(index, cut)| {
            let line = index.get(lines);
            // Most lines are whole, some lack their end.
            let end = if *cut > 40 { line.floor_char_boundary(*cut) } else { line.len() };
            &line[..end]
        });
        super::config(parts.collect::<Vec<_>>().join("\n").as_bytes());
    }

    #[test]
    fn texts_that_look_like_configuration_break_no_promise(
        words in prop::collection::vec(prop::sample::select(WORDS), 0..40)
    ) {
        super::config(words.concat().as_bytes());
    }
}

const WORDS: &[&str] = &[
    "[",
    "]",
    "[[",
    "]]",
    "{",
    "}",
    "=",
    ",",
    ".",
    "\n",
    "\"",
    "\"\"\"",
    "#",
    " ",
    "\u{a0}",
    "é",
    "to",
    "include",
    "\"*.toml\"",
    "#file a.toml\n",
    "#env A=a:1 b:1\n",
    "${A}",
    "${",
    "health",
    "sticky",
    "cookie",
    "not",
    "route",
    "cluster",
    "listener",
    "listen",
    "backends",
    "path",
    "address",
    "web",
    "\"/a\"",
    "\"web\"",
    "\"a:1\"",
    "127.0.0.1:8080",
    "1",
    "-5",
    "10s",
    "true",
];

/// Every line of every configuration in the corpus.
fn corpus_lines() -> &'static [String] {
    static LINES: OnceLock<Vec<String>> = OnceLock::new();
    LINES.get_or_init(|| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/config");
        let entries = fs::read_dir(folder).unwrap();
        let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        files.sort();
        let texts = files.iter().map(|file| fs::read_to_string(file).unwrap());
        texts.flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>()).collect()
    })
}

fn run_corpus(target: &str, body: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target);
    let inputs: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap()).collect();
    assert!(inputs.len() > 4, "{} inputs in {}", inputs.len(), folder.display());
    for input in inputs {
        println!("{}", input.path().display());
        body(&fs::read(input.path()).unwrap());
    }
}

#[test]
fn the_corpus_of_config_breaks_no_promise() {
    run_corpus("config", super::config);
}

#[test]
fn the_corpus_of_route_breaks_no_promise() {
    run_corpus("route", super::route);
}

#[test]
fn the_corpus_of_request_head_breaks_no_promise() {
    run_corpus("request_head", super::request_head);
}

#[test]
fn the_corpus_of_cookie_breaks_no_promise() {
    run_corpus("cookie", super::cookie);
}

#[test]
fn the_corpus_of_forwarded_breaks_no_promise() {
    run_corpus("forwarded", super::forwarded);
}

#[test]
fn the_corpus_of_key_breaks_no_promise() {
    run_corpus("key", super::key);
}

#[test]
fn the_corpus_of_load_report_breaks_no_promise() {
    run_corpus("load_report", super::load_report);
}
