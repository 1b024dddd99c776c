//! The built binary `lb`, from outside: processes, sockets, exit codes, output.
//!
//! Nothing sleeps to wait for something; what takes time is polled until a
//! deadline. Every listener has port 0, and the start line says what it became.

mod admin;
mod agent;
mod announce;
mod check;
mod client;
mod config;
mod demo;
mod explain;
mod gossip;
mod guard;
mod killed;
mod live;
mod live_places;
mod process;
mod reload;
mod run;
mod saving;
mod settings;
mod standstill;
mod stderr;
mod stop;
mod strategies;
mod supervised;
mod tiers;
mod traffic;
