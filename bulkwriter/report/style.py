"""The style sheet of the report: calm, readable in light and dark, on a phone, in print, and without colour vision.

The colours of data are those of Okabe and Ito (2008), "Color Universal Design", in shades that keep 3:1 on their
ground; groups of causes have a pattern beside their colour.  Text keeps 4.5:1 (WCAG 2.2, 1.4.3).  No font and no
picture is loaded from anywhere.  Pure.
"""

from __future__ import annotations

from typing import Final

STYLE: Final = """
:root{color-scheme:light dark;--paper:#f6f5f1;--card:#fff;--ink:#1c2330;--soft:#566072;--line:#e2dfd7;--grid:#ebe8e1;
--created:#0072b2;--existing:#4fa3d1;--rejected:#c4500a;--failed:#a9487e;--in_doubt:#b87a00;--pending:#8d97a6;
--invalid:#6e5a46;--duplicates:#5f7f74;--not_read:#d4d2cb;--ours:#0072b2;--server:#c4500a;--doubts:#b87a00;
--trouble:#a9487e;--here:#5f7f74;--none:#e8e5de;--good:#1b7a4b;--warn:#9a5b00}
@media (prefers-color-scheme:dark){:root{--paper:#14171c;--card:#1c2128;--ink:#e8eaee;--soft:#a4adba;--line:#2e353f;
--grid:#2a303a;--created:#4aa8e0;--existing:#9bd3f2;--rejected:#f0864a;--failed:#dd8bb9;--in_doubt:#e6ac3d;
--pending:#7d8898;--invalid:#b89b7c;--duplicates:#8fb5a8;--not_read:#3d444f;--ours:#4aa8e0;--server:#f0864a;
--doubts:#e6ac3d;--trouble:#dd8bb9;--here:#8fb5a8;--none:#262c34;--good:#5cc791;--warn:#e6ac3d}}
*{box-sizing:border-box}
html{background:var(--paper);color:var(--ink);font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",
sans-serif;font-variant-numeric:tabular-nums;-webkit-text-size-adjust:100%}
body{margin:0}main{max-width:60rem;margin:0 auto;padding:2.25rem 1.25rem 3rem}
h1{font-size:1.65rem;line-height:1.2;font-weight:650;letter-spacing:-.015em;margin:0 0 .35rem;overflow-wrap:anywhere}
h2{font-size:1.02rem;font-weight:650;margin:0 0 .15rem}
p{margin:.2rem 0}.soft{color:var(--soft)}.small{font-size:.86rem}
header{margin:0 0 1.5rem}
.state{display:inline-flex;align-items:center;gap:.5rem;font-weight:600;font-size:.92rem;border:1px solid var(--line);
border-radius:99px;padding:.2rem .75rem;background:var(--card);margin-bottom:.8rem}
.state i{width:.6rem;height:.6rem;border-radius:50%;background:var(--soft);flex:none}
.state.work i,.state.done i{background:var(--good)}.state.stop i{background:var(--warn)}
.state.cut i{background:var(--rejected)}
section{background:var(--card);border:1px solid var(--line);border-radius:.75rem;padding:1.15rem 1.3rem 1.25rem;
margin:0 0 1rem}
.bar{display:flex;height:.85rem;border-radius:.45rem;overflow:hidden;background:var(--not_read);
margin:1rem 0 .4rem;gap:1px}
.bar span{min-width:3px}
.sum{display:flex;flex-wrap:wrap;gap:.35rem 0;margin:1rem 0 0;padding:0;list-style:none}
.sum li{display:flex;align-items:flex-start;min-width:4.9rem;padding-right:.6rem}
.sum .op{color:var(--soft);width:1.1rem;font-size:1.15rem;line-height:1.7rem;flex:none}
.sum b{display:block;font-size:1.28rem;line-height:1.7rem;font-weight:620}

.sum li:first-child{padding-right:.9rem;min-width:0}.sum li:first-child b{font-weight:700}
.sum .nil b{color:var(--soft);font-weight:450}
.sum span{display:block;font-size:.84rem;color:var(--soft);white-space:nowrap}
.dot{display:inline-block;width:.62rem;height:.62rem;border-radius:.18rem;margin-right:.38rem;vertical-align:baseline}
.facts{display:grid;grid-template-columns:max-content 1fr;gap:.3rem 1.1rem;margin:.9rem 0 0}
.facts dt{color:var(--soft)}.facts dd{margin:0;overflow-wrap:anywhere}
.chart{display:grid;grid-template-columns:auto 1fr;gap:0 .6rem;margin:1rem 0 0}
.chart .y{display:flex;flex-direction:column;justify-content:space-between;text-align:right;font-size:.76rem;
color:var(--soft);line-height:1;margin:-.38rem 0;min-width:2.5rem}
.chart .plot{position:relative;height:10.5rem;border-bottom:1px solid var(--soft);
background:linear-gradient(var(--grid),var(--grid)) 0 0/100% 1px no-repeat,
linear-gradient(var(--grid),var(--grid)) 0 50%/100% 1px no-repeat}
.chart.low .plot{height:3.4rem}.chart.low{margin-top:.9rem}
.chart svg{position:absolute;inset:0;width:100%;height:100%;display:block;overflow:visible}
.chart .x{grid-column:2;display:flex;justify-content:space-between;font-size:.76rem;
color:var(--soft);padding-top:.35rem}
.chart .x span:nth-child(2){text-align:center}.chart .x span:last-child{text-align:right}
.area{fill:var(--created);opacity:.16}.edge{fill:none;stroke:var(--created);stroke-width:1.75;
vector-effect:non-scaling-stroke;stroke-linejoin:round}
.thr{fill:var(--rejected)}.day{fill:var(--created)}.limit{stroke:var(--rejected);stroke-width:1.5;
stroke-dasharray:5 4;vector-effect:non-scaling-stroke}
.strip{display:block;width:100%;height:1.15rem;border-radius:.3rem;margin-top:.9rem}
.ours{fill:var(--ours)}.server{fill:var(--server)}.doubts{fill:var(--doubts)}.trouble{fill:var(--trouble)}
.here{fill:var(--here)}.none{fill:var(--none)}
.legend{display:flex;flex-wrap:wrap;gap:.25rem 1.1rem;font-size:.84rem;color:var(--soft);margin:.55rem 0 0;padding:0;
list-style:none}
.legend svg{width:.95rem;height:.8rem;border-radius:.15rem;margin-right:.4rem;vertical-align:-.06rem}
.wide{overflow-x:auto}
table{border-collapse:collapse;width:100%;margin:.8rem 0 0;font-size:.93rem}
th{font-weight:500;color:var(--soft);font-size:.84rem}
th,td{text-align:left;padding:.42rem .9rem .42rem 0;vertical-align:top;border-bottom:1px solid var(--line)}
tr:last-child td,tr:last-child th{border-bottom:0}
td.n,th.n{text-align:right;white-space:nowrap}td.t{white-space:nowrap}td.text{overflow-wrap:anywhere;min-width:11rem}
td.share{width:34%;min-width:6rem}.meter{display:block;margin-top:.42rem;height:.6rem;border-radius:.2rem;min-width:2px}
td .soft{display:block}
details{margin:.8rem 0 0}summary{cursor:pointer;color:var(--soft);font-size:.9rem}
footer{color:var(--soft);font-size:.84rem;margin:1.6rem .2rem 0}
@media (max-width:34rem){main{padding:1.3rem .8rem 2rem}section{padding:1rem .95rem 1.05rem}h1{font-size:1.35rem}
.sum{display:grid;grid-template-columns:1fr}.sum li{padding:.15rem 0;border-bottom:1px solid var(--line)}
.sum li:last-child{border-bottom:0}.sum div{display:flex;flex:1;justify-content:space-between;align-items:baseline}
.sum b{order:2;font-size:1.05rem}.sum span{font-size:.95rem;color:var(--ink)}.sum .nil span{color:var(--soft)}
.facts{grid-template-columns:1fr;gap:0}.facts dd{margin-bottom:.45rem}.chart .plot{height:8rem}.opt,.share{display:none}
.sum li:first-child{padding-right:0}
th,td{padding-right:.55rem}table{font-size:.88rem}td.text{min-width:7rem}}
@media print{:root{--paper:#fff;--card:#fff}html{font-size:12px}main{max-width:none;padding:0}
section{break-inside:avoid;border-radius:0;border-width:1px 0 0;padding:.9rem 0}
.bar,.strip,.dot,.meter,.chart{-webkit-print-color-adjust:exact;print-color-adjust:exact}details{display:none}}
"""
