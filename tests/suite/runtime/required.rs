//! Features that a configuration requires: an error that names feature, cause and cure, instead of a fallback.

use nix::sys::resource::Resource;
use proactor::buf::RegisteredBuf;
use proactor::{Auto, Config, Feature, FeatureState, Runtime};

use crate::kit::*;

tests! {
    t252_a_feature_that_is_in_use_may_be_required,
    t252_a_masked_feature_that_is_required_is_an_error,
    t252_a_table_that_is_refused_and_required_is_an_error,
    t252_the_other_backend_s_features_are_an_error,
    t252_a_feature_that_is_not_asked_for_is_an_error,
    t252_auto_takes_no_other_backend_for_a_required_feature,
    t252_a_registered_buffer_or_an_error,
}

fn error_of<R: Runtime>(config: &Config) -> String {
    let error = R::with_config(config).map(drop).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::Unsupported);
    assert!(format!("{error:?}").contains(&error.to_string()), "`main` prints it with `Debug`");
    error.to_string()
}

fn t252_a_feature_that_is_in_use_may_be_required<R: Runtime>() {
    let report = R::new().unwrap().report();
    let on = report.features.iter().filter(|report| report.state == FeatureState::On);
    let on: Vec<Feature> = on.map(|report| report.feature).collect();
    assert!(!on.is_empty());
    let runtime = R::with_config(&Config::new().require_all(on.iter().copied())).unwrap();
    runtime.block_on(async {
        for feature in &on {
            assert!(uses(&runtime, *feature));
        }
    });
    end(runtime);
    // And of all others each is an error.
    for report in report.features.iter().filter(|report| report.state != FeatureState::On) {
        let error = error_of::<R>(&Config::new().require(report.feature));
        assert!(error.contains(report.feature.name()), "{error}");
    }
}

fn t252_a_masked_feature_that_is_required_is_an_error<R: Runtime>() {
    let feature = if is_proactor::<R>() { Feature::RegisteredBuffers } else { Feature::EpollPwait2 };
    let error = error_of::<R>(&Config::new().mask(feature).require(feature));
    assert!(error.contains(&format!("{feature:?}")) && error.contains("Config::mask"), "{error}");
}

fn t252_a_table_that_is_refused_and_required_is_an_error<R: Runtime>() {
    Alone::new().limit(Resource::RLIMIT_NOFILE, 100).run(|| {
        let config = Config::new().direct_descriptors(1_000);
        let state = R::with_config(&config).unwrap().report().features;
        let state = state.iter().find(|report| report.feature == Feature::DirectDescriptors).unwrap().state;
        let error = error_of::<R>(&config.require(Feature::DirectDescriptors));
        assert!(error.contains("DirectDescriptors"), "{error}");
        if state == FeatureState::Refused(libc::EMFILE) {
            for part in ["Too many open files", "RLIMIT_NOFILE", "Config::direct_descriptors"] {
                assert!(error.contains(part), "{error}");
            }
            end(R::with_config(&Config::new().direct_descriptors(50).require(Feature::DirectDescriptors))
                .unwrap());
        }
    });
}

fn t252_the_other_backend_s_features_are_an_error<R: Runtime>() {
    let (feature, cure) = if is_proactor::<R>() {
        (Feature::EpollPwait2, "make a Selector")
    } else {
        (Feature::SingleIssuer, "make a Proactor")
    };
    let error = error_of::<R>(&Config::new().require(feature));
    assert!(error.contains(R::NAME) && error.contains(cure), "{error}");
}

fn t252_a_feature_that_is_not_asked_for_is_an_error<R: Runtime>() {
    let error = error_of::<R>(&Config::new().require(Feature::SqPoll));
    let cure = if is_proactor::<R>() { "Config::sqpoll" } else { "make a Proactor" };
    assert!(error.contains(cure), "{error}");
}

fn t252_auto_takes_no_other_backend_for_a_required_feature<R: Runtime>() {
    Alone::new().env("PROACTOR_BACKEND", R::NAME).run(|| {
        let error = error_of::<Auto>(
            &Config::new().mask(Feature::RegisteredBuffers).require(Feature::RegisteredBuffers),
        );
        let cause = if is_proactor::<R>() { "it is masked" } else { "PROACTOR_BACKEND=selector asks for it" };
        assert!(error.contains(cause), "{error}");
    });
}

fn t252_a_registered_buffer_or_an_error<R: Runtime>() {
    let runtime = R::new().unwrap();
    runtime.block_on(async {
        assert_eq!(RegisteredBuf::try_new(0).unwrap_err().kind(), std::io::ErrorKind::InvalidInput);
        if !uses(&runtime, Feature::RegisteredBuffers) {
            let error = RegisteredBuf::try_new(4_096).unwrap_err();
            assert_eq!(error.kind(), std::io::ErrorKind::Unsupported);
            assert!(error.to_string().contains("Config::require"), "{error}");
            return;
        }
        // The limit of locked memory may end it before the places do.
        let mut held = Vec::new();
        let error = loop {
            match RegisteredBuf::try_new(4_096) {
                Ok(buffer) => held.push(buffer),
                Err(error) => break error,
            }
            assert!(held.iter().all(RegisteredBuf::is_registered) && held.len() <= 1_024);
        };
        let full = error.kind() == std::io::ErrorKind::QuotaExceeded && held.len() == 1_024;
        assert!(full || error.to_string().contains("RLIMIT_MEMLOCK"), "{error}");
        held.pop();
        assert!(RegisteredBuf::try_new(4_096).is_ok() || held.is_empty(), "a place is free again");
    });
    end(runtime);
}
