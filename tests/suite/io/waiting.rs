//! How the loop waits: options that change what it costs, and nothing else.

use std::io::{Read, Write};
use std::time::Duration;

use proactor::io::nop;
use proactor::testing::Fault;
use proactor::time::{sleep, timeout};
use proactor::{Config, Feature, FeatureState, Runtime, spawn};

use crate::kit::*;

tests! {
    everything_works_however_the_loop_waits,
    a_loop_that_spins_is_woken_without_a_visit,
    a_loop_that_spins_sleeps_in_the_end,
    a_loop_with_nothing_to_do_sleeps,
    no_timer_waits_for_a_batch,
    options_that_make_no_sense_are_refused,
    the_report_says_which_options_are_in_use;
    proactor:
    deadlines_are_the_clocks_own,
}

/// Each option alone, and all that go together.
fn options() -> Vec<Config> {
    let config = Config::new;
    vec![
        config().spin(Duration::from_micros(50)),
        config().batch(8, Duration::from_micros(100)),
        config().sqpoll(Duration::from_millis(10)),
        config().napi_busy_poll(Duration::from_micros(10)),
        config().mask(Feature::AbsoluteTimer),
        config().fault(Fault::RaisedFlag),
        config().fault(Fault::RaisedFlag).mask(Feature::DeferTaskrun),
        config()
            .spin(Duration::from_micros(20))
            .batch(4, Duration::from_micros(20))
            .sqpoll(Duration::from_millis(1))
            .ring_entries(16),
    ]
}

fn everything_works_however_the_loop_waits<R: Runtime>() {
    for config in options() {
        let runtime = R::with_config(&config).unwrap();
        runtime.block_on(async {
            let folder = TempDir::new();
            let content = pattern(100_000);
            let file = proactor::fs::File::open(folder.file("file", &content)).await.unwrap();
            let (ours, mut peer) = half_pair();
            let echoing = spawn(async move {
                while let Some(chunk) = ours.recv().await.unwrap() {
                    ours.write_all(chunk).await.unwrap();
                }
            });
            let playing = thread(move || {
                for round in 0..200_u8 {
                    peer.write_all(&[round; 300]).unwrap();
                    let mut back = [0; 300];
                    peer.read_exact(&mut back).unwrap();
                    assert_eq!(back, [round; 300]);
                }
            });
            for round in 0..50 {
                let (_, read) = file.read_exact_at(vec![0; 1_000], round * 100).await.unwrap();
                assert_bytes(&read, &content[round as usize * 100..][..1_000]);
                let many = join_all((0..40).map(|_| nop())).await;
                assert!(many.iter().all(Result::is_ok));
                sleep(Duration::from_micros(round * 7)).await;
                assert!(timeout(Duration::from_micros(30), std::future::pending::<()>()).await.is_err());
            }
            playing.ended().await;
            echoing.await.unwrap();
            let (silent, _peer) = half_pair();
            assert!(silent.read(vec![0; 1]).cancel().await.is_err());
        });
        runtime.block_on(until(|| live(&runtime) == (0, 0, 0)));
        end(runtime);
    }
}

fn a_loop_that_spins_is_woken_without_a_visit<R: Runtime>() {
    let runtime = R::with_config(&Config::new().spin(Duration::from_secs(30))).unwrap();
    let handle = runtime.handle();
    let over = thread(move || {
        for _ in 0..100 {
            let (done, is_done) = std::sync::mpsc::channel();
            drop(handle.spawn(move || async move { done.send(()).unwrap() }));
            is_done.recv().unwrap();
        }
    });
    runtime.block_on(over.ended());
    end(runtime);
}

/// Also when the kernel says all the time that there is work, and there is none.
fn a_loop_that_spins_sleeps_in_the_end<R: Runtime>() {
    for fault in [None, Some(Fault::RaisedFlag)] {
        let config = Config::new().spin(Duration::from_micros(100));
        let runtime = R::with_config(&fault.into_iter().fold(config, Config::fault)).unwrap();
        let before = runtime.report().stats.turns;
        runtime.block_on(sleep(Duration::from_millis(50)));
        let turns = runtime.report().stats.turns - before;
        assert!(turns < 50, "{turns} turns for one timer");
        end(runtime);
    }
}

fn options_that_make_no_sense_are_refused<R: Runtime>() {
    for config in [Config::new().batch(0, Duration::ZERO), Config::new().batch(300, Duration::from_millis(1))]
    {
        let Err(error) = R::with_config(&config) else { panic!("it was taken") };
        assert!(error.to_string().contains("choose from 1 to the ring's 256 entries"), "{error}");
    }
    for (config, name) in [
        (Config::new().stream_buffers(0), "stream_buffers is 0"),
        (Config::new().datagram_buffers(40_000), "datagram_buffers is 40000"),
        (Config::new().stream_buffer_size(5_000), "stream_buffer_size is 5000"),
    ] {
        let Err(error) = R::with_config(&config) else { panic!("it was taken") };
        assert!(error.to_string().contains(name), "{error}");
    }
}

fn the_report_says_which_options_are_in_use<R: Runtime>() {
    let asked = [Feature::MinWait, Feature::SqPoll];
    let state = |config: Config, feature: Feature| {
        let runtime = R::with_config(&config).unwrap();
        let report = runtime.report();
        assert!(report.to_string().contains(feature.name()));
        report.features.iter().find(|report| report.feature == feature).unwrap().state
    };
    for feature in asked {
        assert_eq!(state(Config::new(), feature), FeatureState::Unused);
        let config = Config::new().batch(2, Duration::from_micros(1)).sqpoll(Duration::from_millis(1));
        let with = state(config.clone(), feature);
        let masked = state(config.mask(feature), feature);
        if is_proactor::<R>() {
            assert!(matches!(with, FeatureState::On | FeatureState::Absent | FeatureState::Masked), "{with}");
            assert_eq!(masked, FeatureState::Masked);
        } else {
            assert_eq!((with, masked), (FeatureState::Unused, FeatureState::Unused));
        }
    }
}

fn a_loop_with_nothing_to_do_sleeps<R: Runtime>() {
    for config in options().into_iter().chain([Config::new().batch(4, Duration::from_millis(1))]) {
        let runtime = R::with_config(&config).unwrap();
        let signal = Signal::default();
        let sets = signal.clone();
        let setting = thread(move || {
            std::thread::sleep(Duration::from_millis(100));
            sets.set();
        });
        runtime.block_on(signal);
        setting.join();
        let turns = runtime.report().stats.turns;
        assert!(turns < 30, "{turns} turns for one wake-up: {config:?}");
        end(runtime);
    }
}

/// A timer that ends before a batch is there is not kept for it, nor is the end of the runtime.
fn no_timer_waits_for_a_batch<R: Runtime>() {
    for masks in [vec![], vec![Feature::AbsoluteTimer]] {
        let config = Config::new().batch(4, Duration::from_secs(600)).mask_all(masks);
        let runtime = R::with_config(&config).unwrap();
        runtime.block_on(async {
            sleep(Duration::from_millis(1)).await;
            assert!(timeout(Duration::from_millis(1), std::future::pending::<()>()).await.is_err());
        });
        end(runtime);
    }
}

/// A timer is never early, though the kernel is told a point in time, counted from another clock's beginning.
fn deadlines_are_the_clocks_own<R: Runtime>() {
    run::<R>(async {
        for round in 0..200 {
            let time = Duration::from_micros(round * 13);
            let begin = std::time::Instant::now();
            sleep(time).await;
            assert!(begin.elapsed() >= time);
        }
    });
}
