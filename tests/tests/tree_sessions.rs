//! Whole trees bring tunnels up and take them down.

use pluto_tests::tree::{Pair, run};
use pluto_whack::Request;

/// ```text
/// IKE_SA_INIT -->  <-- IKE_SA_INIT   IKE_AUTH -->  <-- IKE_AUTH
/// INFORMATIONAL {D} -->  <-- INFORMATIONAL {}
/// ```
#[test]
fn initiate_ends_well_when_the_tunnel_is_up() {
    run(async {
        let pair = Pair::new(1, "").await;
        pair.establish().await;
        assert_eq!(pair.wire.sent().len(), 4);
        let down = pair.west.order(Request::Down { name: "tunnel".into() }).await;
        assert_eq!(down.status, 0, "{down:?}");
        assert_eq!(pair.wire.sent().len(), 6);
        pair.west.assert_no_sas().await;
        pair.east.assert_no_sas().await;
        println!("{}{}", pair.west.log, pair.east.log);
        pair.end().await;
    });
}
