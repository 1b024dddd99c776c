//! See `lb_discovery::fuzz::gossip_packet`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| lb_discovery::fuzz::gossip_packet(input));
