//! All faults together.

use super::ENOUGH;
use super::files;
use super::files::Broken;
use super::fill_the_disk;
use super::free_the_disk;
use super::load;
use super::loses_lines;
use super::without_descriptors;
use super::writes_lines;
use crate::kit::Origin;
use crate::kit::TwoSites;
use crate::kit::load::Outcomes;
use crate::kit::load::beside;

/// PX-5, RL-3, OB-1: nothing but what each fault explains, and all is well when they are over.
#[tokio::test]
async fn everything_breaks_and_is_mended_under_load() {
    let street = TwoSites::with(MORE).await;
    let (shop, blog) = (load(&street, "shop.test"), load(&street, "blog.test"));
    shop.sees(200, ENOUGH).await;

    fill_the_disk(&street).await;
    let address = street.shop.address;
    street.shop.stop();
    for broken in Broken::ALL {
        files::refuses_a_broken_configuration(&street).await;
        broken.put(&street);
        street.proxy.try_reload().await.unwrap();
        without_descriptors(&street.proxy).await;
        shop.sees(502, 1).await;
        blog.sees(200, 1).await;
    }
    loses_lines(&street.proxy).await;

    let _back = Origin::saying_at("hello from shop", address).await;
    free_the_disk(&street);
    files::mend(&street, &street.blog_ec);
    street.proxy.reload().await;
    shop.sees(200, ENOUGH).await;
    writes_lines(&street.site).await;
    assert_eq!(beside(&shop.end().await, &[200, 502, 503]), Outcomes::new());
    assert_eq!(beside(&blog.end().await, &[200, 502, 503]), Outcomes::new());

    // And nothing is left of it.
    let (shop, blog) = (load(&street, "shop.test"), load(&street, "blog.test"));
    shop.sees(200, ENOUGH).await;
    blog.sees(200, ENOUGH).await;
    assert_eq!(beside(&shop.end().await, &[200]), Outcomes::new());
    assert_eq!(beside(&blog.end().await, &[200]), Outcomes::new());
    assert_eq!(street.proxy.metric("portcullis_panics_total", &[]).await, 0.0);
    street.proxy.metric_becomes("portcullis_connections_active", &[], 0.0).await;
}

/// No reload but those that are asked for.
const MORE: &str = "[watch]\nfiles = false";
