// SPDX-License-Identifier: MIT OR Apache-2.0
//! report.html in a browser: real reports, made by the program, in headless Chromium at the
//! width of a phone and of a desk.

#[path = "page/browser.rs"]
mod browser;
#[path = "page/made.rs"]
mod made;

use browser::{Look, console, look};
use made::{Made, empty, flood, fortnight, hosts};

const PHONE: u32 = 360;
const DESK: u32 = 1280;

/// What a page must be like at any width.
#[track_caller]
fn check(made: &Made, drawings: u64) {
    let page = made.page();
    for seen in look(&page, &[PHONE, DESK]) {
        let Look { width, .. } = seen;
        assert_eq!(seen.verdict, made.verdict(), "{width}");
        assert!(!seen.title.is_empty(), "{width}: the verdict in words");
        assert!(seen.is_coloured, "{width}: the verdict has its colour, so the style sheet counts");
        assert_eq!(seen.overflow_px, 0, "{width}: the page is wider than the screen");
        assert_eq!(seen.sticking_out, [""; 0], "{width}");
        assert_eq!(seen.overlaps, [""; 0], "{width}: texts lie on each other");
        assert_eq!(seen.cut, [""; 0], "{width}: texts reach out of their drawing");
        assert_eq!(seen.undescribed, 0, "{width}: drawings without title or description");
        assert_eq!(seen.drawings, drawings, "{width}: drawings that can be seen");
        assert!(seen.drawings == 0 || seen.smallest_text_px >= 9, "{width}: {seen:?}");
        assert_eq!((seen.resources, seen.scripts), (0, 0), "{width}");
    }
    assert_eq!(console(&page), [""; 0]);
}

#[test]
fn a_fortnight_with_a_flood_can_be_read_at_every_width() {
    let made = fortnight();
    check(made, 3 + made.count("/rules"));
}

#[test]
fn a_few_minutes_have_no_drawing_without_numbers() {
    check(&flood(), 2);
}

#[test]
fn long_names_of_hosts_fit() {
    let made = hosts();
    assert_eq!(made.count("/gaps"), 2);
    check(&made, 2);
}

#[test]
fn a_report_of_nothing_can_be_read_too() {
    check(&empty(), 0);
}

/// At every width on the way, not only at the two ends.
#[test]
fn no_width_makes_the_page_overflow() {
    for seen in look(&fortnight().page(), &[320, 400, 560, 641, 735, 900, 2560]) {
        assert_eq!((seen.overflow_px, &seen.sticking_out[..]), (0, &[][..]), "{}", seen.width);
        assert_eq!(seen.overlaps, [""; 0], "{}", seen.width);
    }
}

/// The checks above are worth something only if they find what they look for.
#[test]
fn the_measuring_finds_each_fault() {
    let drawing = |text: &str| {
        format!("<svg width=\"100\" height=\"40\"><title>t</title><desc>d</desc>{text}</svg>")
    };
    let page = |body: &str| format!("<!doctype html><h1 id=verdict>x</h1>{body}");
    let first = |body: &str| look(&page(body), &[PHONE]).remove(0);
    let overlap = drawing("<text x=\"1\" y=\"20\">one</text><text x=\"9\" y=\"22\">two</text>");
    assert_eq!(first(&overlap).overlaps, ["one / two"]);
    assert_eq!(first(&drawing("<text x=\"90\" y=\"20\">long text</text>")).cut, ["long text"]);
    assert_eq!(first("<svg width=\"9\" height=\"9\"></svg>").undescribed, 1);
    assert!(first("<div style=\"width:900px\">x</div>").overflow_px > 500);
    assert_eq!(
        first("<p style=\"position:fixed;left:300px;width:90px\">y</p>").sticking_out,
        ["P"]
    );
    let tiny = drawing("<text x=\"1\" y=\"20\" font-size=\"4\">one</text>");
    assert!(first(&tiny).smallest_text_px < 9);
    assert!(!first("<p class=verdict>plain</p>").is_coloured);
    assert_eq!(first("<script>1</script>").scripts, 1);
    assert_eq!(first("<img src=\"http://127.0.0.1:9/a.png\">").resources, 1);
    let said = console(&page("<script>console.error('seen')</script>"));
    assert!(said.iter().any(|line| line.contains("seen")), "{said:?}");
}

/// The policy of the page holds even where a hole in the escaping let something in.
#[test]
fn the_policy_of_the_page_stops_what_should_not_be_there() {
    let page = flood().page();
    let intruder = "<img src=\"http://127.0.0.1:9/a.png\"><script>document.title='ran'</script>";
    let page = page.replace("</main>", &format!("{intruder}</main>"));
    let said = console(&page);
    assert_eq!(said.iter().filter(|line| line.contains("Content Security Policy")).count(), 2);
    assert!(!look(&page, &[DESK])[0].document_title.contains("ran"));
}
