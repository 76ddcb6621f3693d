//! Inputs with `passed` that share jobs.

use crate::notation::cases;

cases! {
    inputs_that_share_a_job_take_one_build_of_it: "
        unit#1 got app@v1 got image@i1
        unit#2 got app@v2 got image@i2
        job: get app passed unit; get image passed unit
    " => "app@v2* via unit#2
        image@i2* via unit#2";

    a_build_that_lacks_one_input_serves_none_of_them: "
        unit#1 got app@v1 got image@i1
        unit#2 got app@v2
        job: get app passed unit; get image passed unit
    " => "app@v1* via unit#1
        image@i1* via unit#1";

    a_build_with_a_disabled_version_for_one_input_serves_none_of_them: "
        unit#1 got app@v1 got image@i1
        unit#2 got app@v2 got image@i2
        disabled image: i2
        job: get app passed unit; get image passed unit
    " => "app@v1* via unit#1
        image@i1* via unit#1";

    a_resource_may_skip_a_job: "
        unit#1 got app@v1 got conf@c1
        unit#2 got app@v2 got conf@c2
        lint#1 got app@v1
        job: get app passed unit,lint; get conf passed unit
    " => "app@v1* via lint#1 unit#1
        conf@c1* via unit#1";

    fan_in_goes_through_one_build_of_the_job_that_is_shared: "
        build#1 got app@v1 made image@i1
        build#2 got app@v1 made image@i2
        unit#1 got app@v1
        scan#1 got image@i1
        job: get app passed unit,build; get image passed scan,build
    " => "app@v1* via build#1 unit#1
        image@i1* via build#1 scan#1";

    two_inputs_on_one_resource_and_one_job_take_the_same_version: "
        unit#1 got app@v1
        unit#2 got app@v2
        job: get app passed unit; get again=app passed unit
    " => "app@v2* via unit#2
        again@v2* via unit#2";

    two_inputs_on_one_resource_and_different_jobs_may_differ: "
        unit#1 got app@v1
        lint#1 got app@v1
        lint#2 got app@v2
        job: get app passed unit; get again=app passed lint
    " => "app@v1* via unit#1
        again@v2* via lint#2";

    groups_without_a_job_in_common_do_not_touch_each_other: "
        unit#1 got app@v1
        job: get app passed unit; get image passed scan
    " => "app@v1* via unit#1
        image: `image` waits for job `scan`, which has not succeeded yet";

    inputs_are_one_group_through_a_third: "
        a#1 got app@v1 got conf@c1
        a#2 got app@v2 got conf@c2
        b#1 got image@i1 got conf@c1
        b#2 got image@i2 got conf@c3
        job: get app passed a; get image passed b; get conf passed a,b
    " => "app@v1* via a#1
        image@i1* via b#1
        conf@c1* via a#1 b#1";

    the_order_of_inputs_does_not_make_other_groups: "
        a#1 got app@v1 got conf@c1
        a#2 got app@v2 got conf@c2
        b#1 got image@i1 got conf@c1
        b#2 got image@i2 got conf@c3
        job: get conf passed b,a; get image passed b; get app passed a
    " => "conf@c1* via a#1 b#1
        image@i1* via b#1
        app@v1* via a#1";

    the_first_inputs_job_has_its_way: "
        a#1 got app@v2 got conf@c2
        a#2 got app@v1 got conf@c1
        b#1 got image@i1 got conf@c1
        b#2 got image@i2 got conf@c2
        job: get image passed b; get app passed a; get conf passed a,b
    " => "image@i2* via b#2
        app@v2* via a#1
        conf@c2* via a#1 b#2";

    an_older_build_is_taken_only_where_no_newer_one_goes_with_the_rest: "
        a#1 got app@v1 got conf@c1
        a#2 got app@v2 got conf@c2
        a#3 got app@v3 got conf@c3
        b#1 got app@v1
        b#2 got app@v2
        c#1 got conf@c3
        c#2 got conf@c1
        job: get app passed a,b; get conf passed a,c
    " => "app@v1* via a#1 b#1
        conf@c1* via a#1 c#2";

    a_job_is_asked_for_what_others_have_settled_before_it_is_its_turn: "
        a#1 got app@v1 got conf@c1
        b#1 got image@i1 got data@d1
        b#2 got image@i2 got data@d2
        c#1 got conf@c1 got data@d1
        job: get app passed a; get image passed b; get conf passed a,c; get data passed b,c
    " => "app@v1* via a#1
        image@i1* via b#1
        conf@c1* via a#1 c#1
        data@d1* via b#1 c#1";

    a_build_that_others_would_rather_have_yields_to_the_order_of_jobs: "
        a#1 got app@v1
        a#2 got app@v1
        b#1 got app@v1 got image@i1
        b#2 got app@v1 got image@i2
        c#5 got image@i1
        c#6 got image@i2
        c#7 got image@i1
        job: get app passed a,b; get image passed b,c
    " => "app@v1* via a#2 b#2
        image@i2* via b#2 c#6";

    a_pinned_input_has_its_group_follow: "
        unit#1 got app@v1 got image@i1
        unit#2 got app@v2 got image@i2
        job: get app passed unit pinned v1; get image passed unit
    " => "app@v1* via unit#1
        image@i1* via unit#1";

    inputs_without_passed_stay_out_of_groups: "
        versions conf: c1 c2
        unit#1 got app@v1 got conf@c1
        job: get app passed unit; get conf
    " => "app@v1* via unit#1
        conf@c2*";
}
