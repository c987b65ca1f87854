"""The inline style sheet of the site: any width of screen, paper, light or dark as the reader chose."""

STYLE = """\
:root { --ink: #1d2433; --muted: #5b6577; --line: #dde2ea; --page: #ffffff; --soft: #f5f7fa; --accent:
  #0b62b8;
  --warn: #fff4dc; --warn-line: #d9961a; --good: #0a7a4b; --bad: #b3361f; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4e8f0; --muted: #9aa5b8; --line: #323a49; --page: #14181f; --soft: #1c222c; --accent:
    #79b8ff;
    --warn: #33290f; --warn-line: #d9a63a; --good: #56c596; --bad: #f0886f; }
}
* { box-sizing: border-box; }
html { scroll-behavior: smooth; scroll-padding-top: 1rem; }
@media (prefers-reduced-motion: reduce) { html { scroll-behavior: auto; } }
body { margin: 0; color: var(--ink); background: var(--page);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", sans-serif; }
a { color: var(--accent); }
.skip { position: absolute; left: -999px; }
.skip:focus { left: 1rem; top: 1rem; background: var(--page); padding: .4rem .8rem; z-index: 2; }
main { width: 100%; min-width: 0; max-width: 82rem; margin: 0 auto;
  padding: 1.5rem clamp(1rem, 3vw, 2.5rem) 5rem; }
nav { padding: 1rem clamp(1rem, 3vw, 2.5rem); background: var(--soft); border-bottom: 1px solid var(--line);
  font-size: .9rem; }
nav ul { list-style: none; margin: 0; padding: 0; display: flex; flex-wrap: wrap; gap: .2rem 1.1rem; }
nav ul ul { display: none; }
nav a { text-decoration: none; }
nav a:hover { text-decoration: underline; }
@media (min-width: 75rem) {
  body { display: grid; grid-template-columns: 16.5rem minmax(0, 1fr); }
  nav { position: sticky; top: 0; height: 100vh; overflow-y: auto; border: 0; border-right: 1px solid
    var(--line);
    padding: 1.6rem 1.2rem; }
  nav ul { display: block; }
  nav > ul > li { margin-bottom: .7rem; font-weight: 600; }
  nav ul ul { display: block; margin: .2rem 0 0 .7rem; font-weight: 400; font-size: .85rem; }
  nav ul ul li { margin: .15rem 0; line-height: 1.35; }
  nav ul ul a { color: var(--muted); }
}
h1 { font-size: clamp(1.6rem, 4vw, 2.2rem); line-height: 1.2; margin: .2rem 0 .6rem; letter-spacing: -.01em; }
h2 { font-size: 1.45rem; margin: 3rem 0 1rem; padding-bottom: .3rem; border-bottom: 2px solid var(--line); }
h3 { font-size: 1.12rem; margin: 2.2rem 0 .6rem; }
p, dd, figcaption { max-width: 75ch; }
.notice { background: var(--warn); border-left: 4px solid var(--warn-line); padding: .7rem 1rem;
  border-radius: 4px;
  max-width: none; font-weight: 500; }
.result .notice { font-size: .86rem; padding: .45rem .8rem; font-weight: 400; }
.conditions { list-style: none; padding: 0; margin: .8rem 0; display: flex; flex-wrap: wrap; gap: .2rem
  1.4rem;
  font-size: .86rem; color: var(--muted); }
.conditions b { color: var(--ink); font-weight: 600; }
header .conditions { background: var(--soft); border: 1px solid var(--line); border-radius: 6px; padding:
  .8rem 1rem;
  font-size: .92rem; }
/* relative: what is placed absolutely in a wide table (.unseen) scrolls with it instead of widening the page. */
.scroll { position: relative; overflow-x: auto; margin: 1rem 0; }
table.grid { border-collapse: collapse; font-size: .84rem; font-variant-numeric: tabular-nums;
  line-height: 1.3; }
.pair { display: flex; flex-wrap: wrap; gap: 0 2rem; align-items: flex-end; }
.pair > .scroll { max-width: 100%; }
.pair table.grid { width: min-content; }
table.grid caption { text-align: left; color: var(--muted); font-size: .84rem; padding-bottom: .5rem; }
/* A table that scrolls sideways is wider than the page; its caption stays in view. */
table.grid caption span { display: inline-block; max-width: min(75ch, 85vw); position: sticky; left: 0; }
table.grid th, table.grid td { padding: .34rem .6rem; border-bottom: 1px solid var(--line); white-space:
  nowrap; }
table.grid thead th { background: var(--soft); font-weight: 600; vertical-align: bottom; text-align: center; }
table.grid thead tr:first-child th { border-top: 2px solid var(--muted); }
table.grid tbody { border-top: 2px solid var(--muted); }
table.grid tbody:last-of-type { border-bottom: 2px solid var(--muted); }
table.grid tbody th { text-align: left; font-weight: 500; vertical-align: top; }
table.grid th[scope="rowgroup"] { font-weight: 600; white-space: normal; max-width: 9rem; }
table.grid td { text-align: right; }
table.grid td.text { text-align: left; }
.paper { color: var(--muted); font-size: .92em; }
.paper u { text-underline-offset: 2px; }
.not-run { color: var(--muted); font-style: italic; }
.agrees { color: var(--good); }
.differs { color: var(--bad); }
.unseen { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
.of { font-size: 1.05rem; font-weight: 600; margin: 2.4rem 0 0; color: var(--muted); }
.choices { margin: .6rem 0 1.6rem; font-size: .9rem; }
.choices summary { cursor: pointer; color: var(--accent); }
.choicelist { border-collapse: collapse; width: 100%; table-layout: fixed; font-size: .82rem; margin: .6rem 0; }
.choicelist th, .choicelist td { text-align: left; vertical-align: top; padding: .35rem .9rem .35rem 0;
  border-bottom: 1px solid var(--line); overflow-wrap: break-word; }
.choicelist tbody th { font-weight: 600; }
.choices details { margin: .3rem 0 .3rem 1.1rem; }
table.runs tbody + tbody { border-top: 1px solid var(--muted); }
table.runs th small { font-weight: 400; }
figure { margin: 1.6rem 0 2.4rem; }
.picture { background: #ffffff; border: 1px solid var(--line); border-radius: 6px; padding: .5rem;
  overflow-x: auto; }
.picture img { display: block; max-width: 100%; height: auto; margin: 0 auto; }
figcaption { font-size: .9rem; color: var(--muted); margin-top: .5rem; }
figcaption b { color: var(--ink); }
dt { font-weight: 600; margin-top: .8rem; }
dd { margin: 0 0 0 1rem; color: var(--muted); }
.files { columns: 18rem; padding-left: 1.1rem; font-size: .9rem; }
@media print { nav, .skip { display: none; } body { display: block; } .scroll { overflow: visible; } }
"""

# The claims also stand in a notebook, where the variables of STYLE are not defined: each use names its light value.
CLAIMS_STYLE = """\
.claims { line-height: 1.45; }
.claims .lead { font-size: 1.12rem; max-width: 75ch; }
.claims .notice { background: var(--warn, #fff4dc); border-left: 4px solid var(--warn-line, #d9961a);
  padding: .7rem 1rem; }
.claims .badge { display: inline-block; border: 2px solid; border-radius: 1rem; padding: .02rem .6rem;
  font-size: .8rem; font-weight: 600; font-style: normal; white-space: nowrap; line-height: 1.5; }
.claims .badge.supported, .claims .badge.same-direction { background: #0067a8; border-color: #0067a8; color: #ffffff; }
.claims .badge.contradicted, .claims .badge.opposite-here { background: #b84a00; border-color: #b84a00;
  color: #ffffff; }
.claims .badge.not-resolved, .claims .badge.one-training, .claims .badge.two-trainings,
.claims .badge.too-few-images { background: #ffe9a8; border-color: #8a6a00; color: #2b2200; }
.claims .badge.not-run, .claims .badge.not-comparable { border-color: var(--muted, #5b6577);
  color: var(--muted, #5b6577); }
.claims .badge.not-comparable { border-style: dashed; }
.claims table.tally { text-align: center; }
.claims table.tally thead th, .claims table.tally tbody th { vertical-align: middle; }
.claims table.tally td { text-align: center; font-size: 1rem; }
.claims table.claimlist { border-collapse: collapse; width: 100%; table-layout: fixed; font-size: .9rem;
  margin: 1rem 0; }
.claims .claimlist th, .claims .claimlist td { text-align: left; vertical-align: top; padding: .8rem 1.2rem .8rem 0;
  border-bottom: 1px solid var(--line, #dde2ea); white-space: normal; overflow-wrap: break-word; }
.claims .claimlist thead th { border-bottom: 2px solid var(--muted, #5b6577); padding-bottom: .3rem; }
.claims .claimlist thead th:first-child { width: 36%; }
.claims .claimlist tbody th { font-weight: 500; }
.claims .claimlist tr:target { background: var(--soft, #f5f7fa); }
.claims .claimlist .id { font-weight: 700; }
.claims .claimlist q, .claims .claimlist small { display: block; font-weight: 400; margin-top: .3rem;
  color: var(--muted, #5b6577); font-size: .82rem; }
.claims .claimlist q { font-style: italic; }
.claims .claimlist td p { margin: .4rem 0 0; font-size: .86rem; font-variant-numeric: tabular-nums; }
.claims .claimlist td ul { margin: .15rem 0 0; padding-left: 1.1rem; font-size: .84rem;
  font-variant-numeric: tabular-nums; }
.claims .p { font-weight: 600; white-space: nowrap; margin-left: .3rem; }
.claims .scale { display: inline-block; position: relative; width: 5rem; height: .5rem; margin-left: .5rem;
  border: 1px solid var(--muted, #5b6577); background: linear-gradient(90deg, #b84a00 5%, transparent 5% 95%,
  #0067a8 95%); }
.claims .scale span { position: absolute; top: -.25rem; bottom: -.25rem; width: 3px; margin-left: -1px;
  background: var(--ink, #1d2433); }
.claims .runs { font-size: .82rem; margin-top: .4rem; }
.claims .more { margin: .5rem 0; font-size: .9rem; }
.claims .more li { margin: .25rem 0; }
.claims summary { cursor: pointer; color: var(--accent, #0b62b8); }
.claims .unseen { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
@media (max-width: 48rem) {
  .claims .claimlist thead { position: absolute; clip-path: inset(50%); }
  .claims .claimlist tr, .claims .claimlist th, .claims .claimlist td { display: block; border: 0; padding: .3rem 0; }
  .claims .claimlist tr { border-bottom: 1px solid var(--line, #dde2ea); padding: .6rem 0; }
  .claims .claimlist td::before { content: attr(data-head) ": "; font-size: .8rem; color: var(--muted, #5b6577); }
}
"""
