//! Benchmarks of the methods that receive and send: see [`net`](crate::net).
//!
//! The tables show CPU time: per round trip of an echo, per connection with one round trip (*churn*), and per message
//! in one direction (*stream*). It is relative to a bare ring with plain receives, sends and descriptors. Everything
//! ran on one core: the echoes in one run, churn with small messages in a second, the others in a third (Linux 6.18).
//!
//! | echo, 64 connections | 64 B | 4 KiB | 64 KiB |
//! |---|---|---|---|
//! | `recv` + `write_all` | 1.02 | 1.06 | 0.92 |
//! | … with direct descriptors | 0.95 | 1.01 | 0.80 |
//! | … without incremental buffers: one buffer, or one bundle, per receive | 1.10 | 1.06 | 0.85 |
//! | … polled, without multishot | 1.14 | 1.11 | 0.94 |
//! | `read` + `write_all` | 1.08 | 1.09 | 0.94 |
//! | `recv` + `write_all_zerocopy` | 1.14 | 1.10 | 1.27 |
//! | bare ring, multishot | 1.01 | 1.00 | 1.45 |
//! | bare ring, multishot and direct descriptors | 1.01 | 1.07 | 1.43 |
//! | bare ring, multishot bundles | 1.02 | 1.13 | 1.42 |
//! | bare epoll, one hot buffer | 1.19 | 1.15 | 0.86 |
//! | the best other runtime (compio, monoio, tokio) | 1.01 | 0.98 | 0.82 |
//!
//! | echo, 1,000 connections | 64 B | 4 KiB | 64 KiB |
//! |---|---|---|---|
//! | `recv` + `write_all` | 1.06 | 1.10 | 0.98 |
//! | … with direct descriptors | 0.98 | 0.97 | 0.94 |
//! | … without incremental buffers: one buffer, or one bundle, per receive | 1.13 | 0.94 | 0.97 |
//! | … polled, without multishot | 1.20 | 1.09 | 0.97 |
//! | `read` + `write_all` | 1.14 | 1.03 | 0.99 |
//! | `recv` + `write_all_zerocopy` | 1.20 | 1.15 | 1.35 |
//! | bare ring, multishot | 0.97 | 1.07 | 1.31 |
//! | bare ring, multishot and direct descriptors | 0.93 | 1.17 | 1.03 |
//! | bare ring, multishot bundles | 1.02 | 1.23 | 1.16 |
//! | bare epoll, one hot buffer | 1.17 | 1.08 | 0.92 |
//! | the best other runtime (compio, monoio, tokio) | 1.14 | 1.10 | 1.09 |
//!
//! | stream, 64 connections | 64 B | 4 KiB | 64 KiB |
//! |---|---|---|---|
//! | `recv` | 0.95 | 0.94 | 0.57 |
//! | … with direct descriptors | 0.94 | 0.99 | 0.78 |
//! | `read` | 0.96 | 1.05 | 1.03 |
//! | bare ring, multishot | 1.01 | 1.15 | 1.67 |
//! | bare ring, multishot bundles | 0.90 | 1.18 | 1.25 |
//! | bare epoll | 0.95 | 1.04 | 0.50 |
//! | the best other runtime | 0.96 | 1.03 | 0.57 |
//!
//! | churn, 64 connections | 64 B | 4 KiB | 64 KiB |
//! |---|---|---|---|
//! | `recv` | 1.02 | 0.99 | 0.75 |
//! | … with direct descriptors | 1.01 | 1.05 | 0.73 |
//! | `read` | 1.00 | 0.93 | 0.89 |
//! | bare ring, multishot | 0.94 | 0.95 | 0.77 |
//! | bare ring, multishot bundles | – | – | 0.74 |
//! | bare epoll | – | – | 0.71 |
//! | the best other runtime | 0.98 | 1.05 | 0.77 |
//!
//! The machine is shared and small: differences of up to 0.05 are noise. The large messages show why multishot is not
//! the default for them: with one buffer for each of many pieces in flight, every buffer is cold. The commands are
//!
//! ```text
//! cd benches/rivals
//! cargo run --release -- --cores same --rounds 7 --seconds 0.25 --no-counts \
//!     --only echo-64-64,echo-64-1000,echo-4k-64,echo-4k-1000,echo-64k-64 \
//!     --only echo-64k-1000 \
//!     --runtimes bare-ring,bare-multishot,bare-direct,bare-bundle \
//!     --runtimes bare-epoll,proactor,proactor-direct,proactor-owned \
//!     --runtimes proactor-whole,proactor-polled,proactor-zerocopy,tokio \
//!     --runtimes monoio,compio
//! cargo run --release -- --cores same --rounds 3 --seconds 0.25 --no-counts \
//!     --only stream-64-64,stream-4k-64,stream-64k-64,churn-64k-64 \
//!     --runtimes bare-ring,bare-multishot,bare-bundle,bare-epoll,proactor \
//!     --runtimes proactor-direct,proactor-owned,tokio,monoio,compio
//! cargo run --release -- --cores same --rounds 7 --seconds 0.3 \
//!     --only churn-64-64,churn-4k-64 \
//!     --runtimes bare-ring,bare-multishot,proactor,proactor-direct \
//!     --runtimes proactor-owned,monoio,compio,tokio
//! ```
#![forbid(unsafe_code)]
