//! How a list of behaviours becomes tests.

/// The behaviours of one suite, as tests or one after the other.
#[doc(hidden)]
#[macro_export]
macro_rules! __conformance {
    (tests $suite:ident $fixture:path: $($behaviour:ident)+) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $behaviour() {
            if let Some(fixture) = $fixture().await {
                $crate::testkit::conformance::$suite::$behaviour(&fixture).await;
                fixture.end().await;
            }
        }
    )+};
    (run $suite:ident $fixture:path: $($behaviour:ident)+) => {$(
        if let Some(fixture) = $fixture().await {
            Box::pin($crate::testkit::conformance::$suite::$behaviour(&fixture)).await;
            fixture.end().await;
        }
    )+};
}
