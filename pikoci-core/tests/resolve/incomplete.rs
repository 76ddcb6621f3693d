//! Facts that are not all loaded: the answer is certain or says what it needs.

use crate::notation::cases;

cases! {
    the_newest_version_is_certain_without_older_ones: "
        versions app: v1 v2 v3
        loaded app: from v3
        job: get app
    " => "app@v3*";

    an_older_version_is_needed_when_those_loaded_are_disabled: "
        versions app: v1 v2 v3
        loaded app: from v3
        disabled app: v3
        job: get app
    " => "app?
        needs versions of app";

    an_older_version_that_happens_to_be_loaded_may_not_be_the_newest: "
        versions app: v1 v2 v3
        loaded app: from v3 and v1
        disabled app: v3
        job: get app
    " => "app?
        needs versions of app";

    a_pinned_version_that_happens_to_be_loaded_may_not_be_the_newest: "
        versions app: v1+branch:main v2+branch:main v3+branch:dev
        loaded app: from v3+branch:dev and v1+branch:main
        job: get app pinned branch:main
    " => "app?
        needs versions of app";

    what_is_behind_a_version_that_happens_to_be_loaded_may_not_be_the_next: "
        versions app: v1 v2 v3
        loaded app: from v3 and v1
        used #1: app@v1
        job: get app every
    " => "app?
        needs versions of app";

    a_pinned_version_is_asked_for_where_a_build_may_have_it: "
        versions app: v1+branch:main v2+branch:main v3+branch:dev
        unit#1 got app@v1+branch:main
        unit#2 got app@v2+branch:main
        loaded app: from v3+branch:dev and v1+branch:main
        job: get app passed unit pinned branch:main
    " => "app?
        needs app@v2";

    a_pinned_version_that_is_loaded_is_certain: "
        versions app: v1 v2 v3
        loaded app: from v2
        job: get app pinned v2
    " => "app@v2*";

    a_pinned_version_that_is_not_loaded_is_needed: "
        versions app: v1 v2 v3
        loaded app: from v2
        job: get app pinned v1
    " => "app?
        needs versions of app";

    the_next_version_of_every_is_certain_behind_one_that_is_loaded: "
        versions app: v1 v2 v3 v4
        loaded app: from v2
        used #1: app@v1
        used #2: app@v2
        job: get app every
    " => "app@v3*
        more remain";

    the_next_version_of_every_is_needed_behind_one_that_is_not_loaded: "
        versions app: v1 v2 v3 v4
        loaded app: from v3
        used #1: app@v1
        job: get app every
    " => "app?
        needs versions of app";

    a_passed_version_that_is_not_loaded_is_asked_for_by_itself: "
        versions app: v1 v2 v3 v4
        unit#1 got app@v1
        loaded app: from v3
        job: get app passed unit
    " => "app?
        needs app@v1";

    a_passed_version_that_is_loaded_is_certain: "
        versions app: v1 v2 v3 v4
        unit#1 got app@v1
        unit#2 got app@v3
        loaded app: from v3
        job: get app passed unit
    " => "app@v3* via unit#2";

    older_builds_do_not_matter_while_the_newest_will_do: "
        unit#1 got app@v1
        unit#2 got app@v2
        unit#3 got app@v3
        loaded unit: 1
        job: get app passed unit
    " => "app@v3* via unit#3";

    older_builds_are_needed_when_those_loaded_will_not_do: "
        unit#1 got app@v1
        unit#2 got app@v2
        disabled app: v2
        loaded unit: 1
        job: get app passed unit
    " => "app?
        needs builds of unit";

    older_builds_are_needed_where_none_is_loaded: "
        unit#1 got app@v1
        loaded unit: 0
        job: get app passed unit
    " => "app?
        needs builds of unit";

    older_builds_of_the_job_that_may_have_the_version_are_needed: "
        unit#1 got app@v1
        lint#1 got app@v1
        lint#2 got app@v2
        loaded lint: 1
        job: get app passed unit,lint
    " => "app?
        needs builds of lint";

    a_job_that_is_loaded_refutes_a_version_before_another_is_asked_for: "
        unit#1 got app@v1
        lint#1 got app@v2
        scan#1 got app@v1
        scan#2 got app@v2
        loaded scan: 1
        job: get app passed unit,lint,scan
    " => "app: `app` waits for job `lint`: version ref:v1 passed `unit` (build 1) but not `lint`";

    older_builds_are_needed_where_only_the_reason_depends_on_them: "
        unit#1 got app@v1
        lint#1 got app@v2
        scan#1 got app@v1
        scan#2 got app@v2
        loaded scan: 1
        job: get app passed unit,scan,lint
    " => "app?
        needs builds of scan";

    every_needs_the_builds_behind_its_cursor: "
        unit#1 got app@v1
        unit#2 got app@v2
        unit#3 got app@v3
        used #1: app@v1 via unit#1
        loaded unit: 1
        job: get app passed unit every
    " => "app?
        needs builds of unit";

    every_is_certain_while_its_cursor_is_loaded: "
        unit#1 got app@v1
        unit#2 got app@v2
        unit#3 got app@v3
        used #1: app@v1 via unit#1
        used #2: app@v2 via unit#2
        loaded unit: 2
        job: get app passed unit every
    " => "app@v3* via unit#3
        more remain";

    one_group_that_needs_more_keeps_no_other_from_its_answer: "
        versions app: v1 v2
        versions image: i1 i2
        loaded app: from v2
        disabled app: v2
        job: get app; get image
    " => "app?
        image@i2*
        needs versions of app";
}
