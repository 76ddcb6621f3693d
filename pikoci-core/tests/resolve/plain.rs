//! Inputs without `passed`.

use crate::notation::cases;

cases! {
    latest_takes_the_newest_version: "
        versions app: v1 v2 v3
        job: get app trigger
    " => "app@v3*
        runs";

    latest_skips_what_is_disabled: "
        versions app: v1 v2 v3
        disabled app: v3
        job: get app
    " => "app@v2*";

    latest_says_when_all_versions_are_disabled: "
        versions app: v1 v2
        disabled app: v1 v2
        job: get app
    " => "app: all versions of resource `git.app` are disabled: `app` waits for a new one, or for one to be enabled";

    a_resource_that_was_never_checked_has_no_version: "
        versions app: never
        job: get app trigger
    " => "app: `app` waits for the first check of resource `git.app`";

    a_resource_whose_checks_found_nothing_has_no_version: "
        versions app: none
        job: get app trigger
    " => "app: `app` waits for a version: no check of resource `git.app` has found one yet";

    the_order_of_checks_counts_and_not_the_name_of_a_version: "
        versions app: v9 v1
        job: get app
    " => "app@v1*";

    inputs_without_passed_do_not_influence_each_other: "
        versions app: v1 v2
        versions image: never
        job: get app trigger; get image
    " => "app@v2*
        image: `image` waits for the first check of resource `git.image`";

    two_inputs_on_one_resource_choose_for_themselves: "
        versions app: v1 v2 v3
        job: get app; get old=app pinned v1
    " => "app@v3*
        old@v1*";

    a_pin_of_the_get_takes_that_version: "
        versions app: v1 v2 v3
        job: get app pinned v2
    " => "app@v2*";

    a_pin_of_the_resource_takes_that_version: "
        versions app: v1 v2 v3
        pin app: v1
        job: get app
    " => "app@v1*";

    a_pin_of_the_get_goes_over_that_of_the_resource: "
        versions app: v1 v2 v3
        pin app: v1
        job: get app pinned v2
    " => "app@v2*";

    a_pin_goes_over_every: "
        versions app: v1 v2 v3 v4
        pin app: v2
        used #1: app@v2
        job: get app trigger every
    " => "app@v2";

    a_partial_pin_takes_the_newest_version_that_has_its_fields: "
        versions app: v1+branch:main v2+branch:main v3+branch:dev
        job: get app pinned branch:main
    " => "app@v2*";

    a_pin_needs_all_of_its_fields: "
        versions app: v1+branch:main v2+branch:dev v3+branch:main
        job: get app pinned branch:main+ref:v1
    " => "app@v1*";

    a_partial_pin_skips_what_is_disabled: "
        versions app: v1+branch:main v2+branch:main
        disabled app: v2+branch:main
        job: get app pinned branch:main
    " => "app@v1*";

    a_version_that_a_get_asks_for_may_not_exist: "
        versions app: v1
        job: get app pinned v7
    " => "app: `app` asks for version ref:v7, which no check of resource `git.app` has found";

    a_version_that_a_resource_is_pinned_to_may_not_exist: "
        versions app: v1
        pin app: branch:main+ref:v1
        job: get app
    " => "app: resource `git.app` is pinned to version branch:main ref:v1, which no check has found: `app` waits for it, or for the pin to be taken away";

    a_pinned_version_of_a_resource_without_versions_is_not_found: "
        versions app: none
        job: get app pinned v7
    " => "app: `app` asks for version ref:v7, which no check of resource `git.app` has found";

    a_get_pinned_to_what_is_disabled_is_refused: "
        versions app: v1 v2
        disabled app: v1
        job: get app pinned v1
    " => "app: `app` asks for version ref:v1 of resource `git.app`, which is disabled: it waits for that to be enabled";

    a_resource_pinned_to_what_is_disabled_is_refused: "
        versions app: v1 v2
        disabled app: v1
        pin app: v1
        job: get app trigger
    " => "app: resource `git.app` is pinned to version ref:v1, which is disabled: `app` waits for that to be enabled, or for the pin to be taken away";

    a_version_is_new_to_an_input_once: "
        versions app: v1 v2
        used #1: app@v2
        job: get app trigger
    " => "app@v2";

    what_an_older_build_took_is_not_new_either: "
        versions app: v1 v2 v3
        disabled app: v3
        used #1: app@v2
        used #2: app@v3
        job: get app trigger
    " => "app@v2";

    an_older_version_that_was_never_used_is_new: "
        versions app: v1 v2 v3
        disabled app: v3
        used #1: app@v1
        used #2: app@v3
        job: get app trigger
    " => "app@v2*
        runs";

    what_another_input_took_is_new_to_this_one: "
        versions app: v1
        used #1: other=app@v1
        job: get app trigger
    " => "app@v1*
        runs";

    an_input_that_got_another_resource_takes_its_versions_as_new: "
        versions app: v1
        versions image: v1
        used #1: app=image@v1
        job: get app trigger
    " => "app@v1*
        runs";

    a_new_version_of_an_input_that_does_not_trigger_runs_nothing: "
        versions app: v1
        versions image: i1
        used #1: app@v1
        job: get app trigger; get image
    " => "app@v1
        image@i1*";

    one_triggering_input_suffices: "
        versions app: v1
        versions image: i1
        used #1: app@v1
        job: get app trigger; get image trigger
    " => "app@v1
        image@i1*
        runs";

    nothing_runs_while_an_input_has_no_version: "
        versions app: v1
        versions image: none
        job: get app trigger; get image
    " => "app@v1*
        image: `image` waits for a version: no check of resource `git.image` has found one yet";

    taking_a_pin_away_runs_with_the_newest_version: "
        versions app: v1 v2 v3
        used #1: app@v1
        job: get app trigger
    " => "app@v3*
        runs";
}
