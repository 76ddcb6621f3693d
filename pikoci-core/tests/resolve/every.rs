//! `every`: alone, and with `passed`.

use crate::notation::cases;

cases! {
    every_starts_at_the_newest_version: "
        versions app: v1 v2 v3
        job: get app trigger every
    " => "app@v3*
        runs";

    every_takes_the_next_version_and_says_that_more_remain: "
        versions app: v1 v2 v3 v4
        used #1: app@v2
        job: get app trigger every
    " => "app@v3*
        runs
        more remain";

    every_says_nothing_of_more_at_the_last_version: "
        versions app: v1 v2 v3
        used #1: app@v2
        job: get app trigger every
    " => "app@v3*
        runs";

    every_stays_at_the_version_used_last: "
        versions app: v1 v2
        used #1: app@v2
        job: get app trigger every
    " => "app@v2";

    every_skips_what_is_disabled: "
        versions app: v1 v2 v3 v4
        disabled app: v2 v4
        used #1: app@v1
        job: get app trigger every
    " => "app@v3*
        runs";

    every_falls_back_when_the_version_used_last_is_disabled: "
        versions app: v1 v2 v3
        disabled app: v3
        used #1: app@v1
        used #2: app@v3
        job: get app trigger every
    " => "app@v2*
        runs";

    every_counts_what_any_input_of_the_job_took: "
        versions app: v1 v2 v3 v4
        used #1: other=app@v2
        job: get app trigger every
    " => "app@v3*
        runs
        more remain";

    an_old_version_taken_by_hand_does_not_rewind_every: "
        versions app: v1 v2 v3 v4
        used #1: app@v3
        used #2: app@v1
        job: get app trigger every
    " => "app@v4*
        runs";

    every_never_goes_back_to_what_was_inserted_behind: "
        versions app: v1 v0 v2
        used #1: app@v1
        used #2: app@v2
        job: get app trigger every
    " => "app@v2";

    what_was_used_of_another_history_does_not_count: "
        versions app: w1 w2
        used #1: app@v5
        job: get app trigger every
    " => "app@w2*
        runs";

    all_versions_of_every_may_be_disabled: "
        versions app: v1
        disabled app: v1
        used #1: app@v1
        job: get app every
    " => "app: all versions of resource `git.app` are disabled: `app` waits for a new one, or for one to be enabled";

    more_remain_only_if_all_inputs_have_versions: "
        versions app: v1 v2 v3
        versions image: none
        used #1: app@v1
        job: get app trigger every; get image
    " => "app@v2*
        image: `image` waits for a version: no check of resource `git.image` has found one yet";

    every_with_passed_starts_at_the_newest_build: "
        unit#1 got app@v1
        unit#2 got app@v2
        unit#3 got app@v3
        job: get app trigger passed unit every
    " => "app@v3* via unit#3
        runs";

    every_with_passed_takes_the_build_behind_the_one_taken_last: "
        unit#1 got app@v1
        unit#2 got app@v2
        unit#3 got app@v3
        used #1: app@v1 via unit#1
        job: get app trigger passed unit every
    " => "app@v2* via unit#2
        runs
        more remain";

    every_with_passed_says_that_more_remain_even_at_the_last: "
        unit#1 got app@v1
        unit#2 got app@v2
        used #1: app@v1 via unit#1
        job: get app trigger passed unit every
    " => "app@v2* via unit#2
        runs
        more remain";

    every_with_passed_stays_at_the_build_taken_last: "
        unit#1 got app@v1
        unit#2 got app@v2
        used #1: app@v2 via unit#2
        job: get app trigger passed unit every
    " => "app@v2 via unit#2";

    every_with_passed_follows_builds_and_not_the_order_of_versions: "
        versions app: v1 v2 v3
        unit#1 got app@v2
        unit#2 got app@v3
        unit#3 got app@v1
        used #1: app@v2 via unit#1
        job: get app trigger passed unit every
    " => "app@v3* via unit#2
        runs
        more remain";

    a_rerun_of_the_build_taken_last_is_passed_by: "
        unit#1 got app@v1
        unit#1.1 got app@v1 made image@i2
        used #1: app@v1 image@i1 via unit#1
        job: get app trigger passed unit every
    " => "app@v1 via unit#1";

    a_rerun_of_a_later_build_is_walked_in_its_place: "
        unit#1 got app@v1
        unit#2.1 got app@v2
        unit#3 got app@v3
        used #1: app@v1 via unit#1
        job: get app trigger passed unit every
    " => "app@v2* via unit#2.1
        runs
        more remain";

    later_reruns_come_after_a_rerun_that_was_taken_last: "
        unit#1.1 got app@v1
        unit#1.2 got app@v2
        used #1: app@v1 via unit#1.1
        job: get app trigger passed unit every
    " => "app@v2* via unit#1.2
        runs
        more remain";

    the_original_is_older_than_its_rerun_that_was_taken_last: "
        unit#1 got app@v2
        unit#1.1 got app@v1
        used #1: app@v1 via unit#1.1
        disabled app: v1
        job: get app trigger passed unit every
    " => "app@v2* via unit#1
        runs";

    a_rerun_of_an_older_build_is_older: "
        unit#1 got app@v1
        unit#1.1 got app@v9
        unit#2 got app@v2
        used #1: app@v2 via unit#2
        job: get app trigger passed unit every
    " => "app@v2 via unit#2";

    where_only_reruns_of_the_build_taken_last_are_left_nothing_can_be_taken: "
        unit#1.1 got app@v1
        used #1: app@v1 via unit#1
        job: get app trigger passed unit every
    " => "app: `app` waits for job `unit`: none of its builds that succeeded can be taken; the newest, 1.1, repeats 1, which was taken last";

    upstream_builds_that_repeat_a_version_do_not_hold_up_every: "
        unit#1 got app@v1
        unit#2 got app@v1
        unit#3 got app@v2
        unit#4 got app@v3
        used #1: app@v1 via unit#1
        job: get app trigger passed unit every
    " => "app@v2* via unit#3
        runs
        more remain";

    an_upstream_build_that_repeats_a_version_runs_nothing_and_leaves_nothing: "
        unit#1 got app@v1
        unit#2 got app@v1
        used #1: app@v1 via unit#1
        job: get app trigger passed unit every
    " => "app@v1 via unit#2";

    a_pinned_input_with_every_does_not_remain_due: "
        unit#1 got app@v1
        unit#2 got app@v1
        pin app: v1
        used #1: app@v1 via unit#1
        job: get app trigger passed unit every
    " => "app@v1 via unit#2";

    what_counts_as_unused_is_by_input: "
        versions app: v2 v1 v3
        unit#1 got app@v1
        unit#2 got app@v2
        unit#3 got app@v3
        used #1: app@v1 via unit#1
        used #2: other=app@v2
        job: get app trigger passed unit every
    " => "app@v2* via unit#2
        runs
        more remain";

    every_goes_back_to_an_older_build_when_the_last_is_disabled: "
        unit#1 got app@v1
        unit#2 got app@v2
        unit#3 got app@v3
        disabled app: v3
        used #1: app@v1 via unit#1
        used #2: app@v3 via unit#3
        job: get app trigger passed unit every
    " => "app@v2* via unit#2
        runs";

    every_passes_over_a_build_whose_version_is_disabled: "
        unit#1 got app@v1
        unit#2 got app@v2
        unit#3 got app@v3
        disabled app: v2
        used #1: app@v1 via unit#1
        job: get app trigger passed unit every
    " => "app@v3* via unit#3
        runs
        more remain";

    without_sources_every_starts_at_the_newest_build: "
        unit#1 got app@v1
        unit#2 got app@v2
        unit#3 got app@v3
        used #1: app@v1
        job: get app trigger passed unit every
    " => "app@v3* via unit#3
        runs";

    the_cursor_is_at_the_highest_version_and_not_at_the_newest_build: "
        versions app: v1 v2 v3 v4
        unit#1 got app@v1
        unit#2 got app@v2
        unit#3 got app@v3
        unit#4 got app@v4
        used #1: app@v3 via unit#3
        used #2: app@v1 via unit#1
        job: get app trigger passed unit every
    " => "app@v4* via unit#4
        runs
        more remain";

    of_builds_that_took_the_same_version_the_newest_is_the_cursor: "
        unit#1 got app@v1 made image@i1
        unit#2 got app@v1 made image@i2
        unit#3 got app@v1 made image@i3
        used #1: app@v1 via unit#1
        used #2: app@v1 via unit#2
        job: get app passed unit every; get image trigger passed unit every
    " => "app@v1 via unit#3
        image@i3* via unit#3
        runs
        more remain";

    the_first_input_with_every_that_was_used_gives_the_cursors: "
        unit#1 got app@v1 got image@i1
        unit#2 got app@v2 got image@i2
        unit#3 got app@v3 got image@i3
        used #1: image@i1 via unit#1
        job: get app trigger passed unit every; get image passed unit every
    " => "app@v2* via unit#2
        image@i2* via unit#2
        runs
        more remain";

    one_input_with_every_walks_its_job_forward_for_all: "
        unit#1 got app@v1 got image@i1
        unit#2 got app@v2 got image@i2
        unit#3 got app@v3 got image@i3
        used #1: app@v1 image@i1 via unit#1
        job: get app passed unit; get image trigger passed unit every
    " => "app@v2* via unit#2
        image@i2* via unit#2
        runs
        more remain";

    the_order_of_the_inputs_does_not_decide_whether_a_job_is_walked_forward: "
        unit#1 got app@v1 got image@i1
        unit#2 got app@v2 got image@i2
        unit#3 got app@v3 got image@i3
        used #1: app@v1 image@i1 via unit#1
        job: get image trigger passed unit every; get app passed unit
    " => "image@i2* via unit#2
        app@v2* via unit#2
        runs
        more remain";

    a_job_without_a_cursor_follows_those_that_have_one: "
        unit#1 got app@v1
        unit#2 got app@v2
        unit#3 got app@v3
        lint#7 got app@v1
        lint#8 got app@v2
        lint#9 got app@v3
        used #1: app@v1 via unit#1
        job: get app trigger passed lint,unit every
    " => "app@v2* via lint#8 unit#2
        runs
        more remain";

    a_job_that_is_walked_forward_leads_whichever_input_says_every: "
        unit#1 got app@v1 got image@i1
        unit#2 got app@v2 got image@i2
        unit#3 got app@v3 got image@i3
        lint#1 got app@v1
        lint#2 got app@v2
        lint#3 got app@v3
        used #1: app@v1 image@i1 via lint#1 unit#1
        job: get app passed lint,unit; get image trigger passed unit every
    " => "app@v2* via lint#2 unit#2
        image@i2* via unit#2
        runs
        more remain";

    every_walks_several_jobs_together: "
        unit#1 got app@v1
        unit#2 got app@v2
        unit#3 got app@v3
        lint#1 got app@v1
        lint#2 got app@v3
        used #1: app@v1 via unit#1 lint#1
        job: get app trigger passed unit,lint every
    " => "app@v3* via lint#2 unit#3
        runs
        more remain";

    every_waits_at_the_last_set_while_a_job_lags_behind: "
        unit#1 got app@v1
        unit#2 got app@v2
        lint#1 got app@v1
        used #1: app@v1 via unit#1 lint#1
        job: get app trigger passed unit,lint every
    " => "app@v1 via lint#1 unit#1";
}
