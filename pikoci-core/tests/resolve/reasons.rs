//! Why inputs with `passed` have no version, as people are told.

use pikoci_core::resolve::Reason;

use crate::notation::{cases, facts};

cases! {
    a_job_that_has_not_succeeded_is_named: "
        versions app: v1
        job: get app passed unit
    " => "app: `app` waits for job `unit`, which has not succeeded yet";

    all_jobs_that_have_not_succeeded_are_named: "
        unit#1 got app@v1
        job: get app passed lint,unit,scan; get image passed unit,build
    " => "app, image: `app` and `image` wait for jobs `lint`, `scan` and `build`, none of which has succeeded yet";

    two_jobs_that_have_not_succeeded: "
        versions app: v1
        job: get app passed unit,lint
    " => "app: `app` waits for jobs `unit` and `lint`, neither of which has succeeded yet";

    a_version_that_has_not_passed_all_jobs_says_where_it_was: "
        unit#12 got app@abc
        lint#4 got app@old
        job: get app passed unit,lint
    " => "app: `app` waits for job `lint`: version ref:abc passed `unit` (build 12) but not `lint`";

    the_newest_version_is_the_one_that_is_told_of: "
        unit#1 got app@v1
        unit#2 got app@v2
        lint#1 got app@v9
        job: get app passed unit,lint
    " => "app: `app` waits for job `lint`: version ref:v2 passed `unit` (build 2) but not `lint` (2 builds were tried)";

    the_first_job_without_the_version_is_told_of: "
        a#1 got app@v1
        b#1 got app@v1
        c#1 got app@v9
        d#1 got app@v9
        job: get app passed a,b,c,d
    " => "app: `app` waits for job `c`: version ref:v1 passed `a` (build 1) and `b` (build 1) but not `c`";

    the_input_that_lags_behind_is_told_of: "
        build#1 got app@v1 made image@i1
        unit#1 got app@v1
        scan#1 got image@i0
        job: get app passed build,unit; get image passed build,scan
    " => "app, image: `image` waits for job `scan`: version ref:i1 passed `build` (build 1) but not `scan`";

    versions_that_never_came_together_are_told_of: "
        a#1 got app@v1 got image@i1
        b#1 got app@v1 got image@i2
        b#2 got app@v2 got image@i1
        job: get app passed a,b; get image passed a,b
    " => "app, image: `app` and `image` wait for job `b`: version ref:v1 of `app` and version ref:i1 of `image` passed `a` (build 1) but are not together in any build of `b` (2 builds were tried)";

    a_job_that_never_had_the_resource: "
        versions app: v1
        unit#1 got image@i1
        unit#2 got image@i2
        job: get app passed unit
    " => "app: `app` waits for job `unit`: none of its builds that succeeded can be taken; the newest, 2, has no version of resource `git.app`";

    a_job_whose_builds_have_only_what_is_disabled: "
        versions app: v1 v2 v3
        unit#1 got app@v1
        unit#2 got app@v2
        disabled app: v1 v2
        job: get app passed unit
    " => "app: `app` waits for job `unit`: none of its builds that succeeded can be taken; the newest, 2, has version ref:v2 of resource `git.app`, which is disabled";

    a_job_whose_builds_have_only_what_is_gone: "
        versions app: w1
        unit#1 got app@v1
        job: get app passed unit
    " => "app: `app` waits for job `unit`: none of its builds that succeeded can be taken; the newest, 1, has a version that resource `git.app` does not have any more";

    a_pinned_version_that_never_passed: "
        versions app: v1 v2
        unit#1 got app@v1
        pin app: v2
        job: get app passed unit
    " => "app: `app` waits for job `unit`: none of its builds that succeeded can be taken; the newest, 1, has version ref:v1, but `app` is pinned to ref:v2";

    a_pinned_version_that_does_not_exist_fails_the_whole_group: "
        unit#1 got app@v1 got image@i1
        pin image: i7
        job: get app passed unit; get image passed unit
    " => "app, image: resource `git.image` is pinned to version ref:i7, which no check has found: `image` waits for it, or for the pin to be taken away";

    a_pinned_version_that_is_disabled_has_a_reason_of_its_own_with_passed_too: "
        unit#1 got app@v1
        disabled app: v1
        job: get app passed unit pinned v1
    " => "app: `app` asks for version ref:v1 of resource `git.app`, which is disabled: it waits for that to be enabled";

    a_resource_whose_history_is_new_says_so_with_passed_too: "
        versions app: never
        unit#1 got app@v1
        job: get app passed unit
    " => "app: `app` waits for the first check of resource `git.app`";

    a_resource_whose_history_is_empty_says_so_with_passed_too: "
        versions app: none
        unit#1 got app@v1
        job: get app passed unit
    " => "app: `app` waits for a version: no check of resource `git.app` has found one yet";

    the_reason_of_one_group_is_not_that_of_another: "
        unit#1 got app@v1
        scan#1 got image@i1
        job: get app passed unit,lint; get image passed scan
    " => "image@i1* via scan#1
        app: `app` waits for job `lint`, which has not succeeded yet";
}

#[test]
fn a_reason_is_data() {
    let facts = facts(
        "unit#12 got app@abc
        lint#4 got app@old
        job: get app passed unit,lint",
    );
    let reason = facts.resolve().problems().remove("app").unwrap();
    let json = serde_json::to_value(&reason).unwrap();
    assert_eq!(
        json,
        serde_json::json!({
            "reason": "not_passed",
            "input": "app",
            "version": {"ref": "abc"},
            "passed": [{"job": "unit", "build": {"number": 12, "rerun": 0}}],
            "job": "lint",
            "tried": 1,
        })
    );
    assert_eq!(serde_json::from_value::<Reason>(json).unwrap(), reason);
}
