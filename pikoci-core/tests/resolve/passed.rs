//! Inputs with `passed`, one at a time.

use crate::notation::cases;

cases! {
    passed_takes_the_version_of_the_newest_succeeded_build: "
        unit#1 got app@v1
        unit#2 got app@v2
        job: get app trigger passed unit
    " => "app@v2* via unit#2
        runs";

    the_order_of_builds_counts_and_not_that_of_versions: "
        versions app: v1 v2 v3
        unit#1 got app@v1
        unit#2 got app@v3
        unit#3 got app@v2
        job: get app passed unit
    " => "app@v2* via unit#3";

    a_version_must_have_passed_all_jobs: "
        unit#1 got app@v1
        unit#2 got app@v2
        unit#3 got app@v3
        lint#1 got app@v1
        lint#2 got app@v2
        job: get app passed unit,lint
    " => "app@v2* via lint#2 unit#2";

    the_first_job_named_has_its_way: "
        unit#1 got app@v2
        unit#2 got app@v1
        lint#1 got app@v1
        lint#2 got app@v2
        job: get app passed unit,lint
    " => "app@v1* via lint#1 unit#2";

    what_a_build_made_counts_before_what_it_got: "
        unit#1 got app@v1 made app@v2
        job: get app passed unit
    " => "app@v2* via unit#1";

    of_what_a_build_made_the_last_counts: "
        unit#1 got app@v1 made app@v2 app@v3
        job: get app passed unit
    " => "app@v3* via unit#1";

    of_a_builds_versions_the_first_that_is_not_disabled_counts: "
        unit#1 got app@v1 made app@v2 app@v3
        disabled app: v3
        job: get app passed unit
    " => "app@v2* via unit#1";

    a_version_that_was_got_and_made_counts_once: "
        unit#1 got app@v1 made app@v1
        unit#2 got app@v2 made app@v2
        job: get app passed unit
    " => "app@v2* via unit#2";

    a_disabled_version_is_never_supplied: "
        unit#1 got app@v1
        unit#2 got app@v2
        disabled app: v2
        job: get app passed unit
    " => "app@v1* via unit#1";

    a_version_that_is_gone_makes_its_build_unusable: "
        versions app: v1 v3
        unit#1 got app@v1
        unit#2 got app@v2
        job: get app passed unit
    " => "app@v1* via unit#1";

    a_version_that_is_gone_is_not_skipped_for_another_of_the_build: "
        versions app: v1 v3
        unit#1 got app@v1
        unit#2 got app@v3 made app@v2
        job: get app passed unit
    " => "app@v1* via unit#1";

    a_pin_of_the_resource_filters_what_has_passed: "
        unit#1 got app@v1
        unit#2 got app@v2
        unit#3 got app@v3
        pin app: v2
        job: get app passed unit
    " => "app@v2* via unit#2";

    a_pin_of_the_get_goes_over_that_of_the_resource_with_passed_too: "
        unit#1 got app@v1
        unit#2 got app@v2
        unit#3 got app@v3
        pin app: v2
        job: get app passed unit pinned v1
    " => "app@v1* via unit#1";

    a_pin_finds_its_version_behind_others_of_the_build: "
        unit#1 got app@v1 made app@v2
        job: get app passed unit pinned v1
    " => "app@v1* via unit#1";

    a_partial_pin_takes_the_newest_build_with_its_fields: "
        unit#1 got app@v1+branch:main
        unit#2 got app@v2+branch:main
        unit#3 got app@v3+branch:dev
        job: get app passed unit pinned branch:main
    " => "app@v2* via unit#2";

    a_partial_pin_skips_what_is_disabled_with_passed_too: "
        unit#1 got app@v1+branch:main
        unit#2 got app@v2+branch:main
        disabled app: v2+branch:main
        job: get app passed unit pinned branch:main
    " => "app@v1* via unit#1";

    a_rerun_stands_at_the_place_of_its_original: "
        unit#1 got app@v1
        unit#2.1 got app@v2
        unit#3 got app@v3
        job: get app passed unit
    " => "app@v3* via unit#3";

    a_rerun_of_the_newest_build_is_the_newest: "
        unit#1 got app@v1
        unit#2 got app@v2 made image@i2
        unit#2.1 got app@v2 made image@i3
        job: get image passed unit
    " => "image@i3* via unit#2.1";

    reruns_go_by_their_number_and_not_by_its_text: "
        unit#2.9 got app@v1
        unit#2.10 got app@v2
        unit#10 got app@v3
        unit#9 got app@v4
        job: get app passed unit
    " => "app@v3* via unit#10";

    a_job_named_twice_counts_once: "
        unit#1 got app@v1
        job: get app passed unit,unit
    " => "app@v1* via unit#1";

    what_passed_again_is_not_new: "
        unit#1 got app@v1
        unit#2 got app@v1
        used #1: app@v1 via unit#1
        job: get app trigger passed unit
    " => "app@v1 via unit#2";

    an_older_version_that_passed_last_is_new_if_it_was_never_used: "
        versions app: v1 v2
        unit#1 got app@v2
        unit#2 got app@v1
        used #1: app@v2 via unit#1
        job: get app trigger passed unit
    " => "app@v1* via unit#2
        runs";

    a_new_job_takes_what_succeeded_before_it_was_there: "
        unit#1 got app@v1
        job: get app trigger passed unit
    " => "app@v1* via unit#1
        runs";
}
