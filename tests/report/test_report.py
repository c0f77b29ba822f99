"""The page in a browser: nothing is fetched, texts stay texts, and its answers are those of the commands."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator
from html import escape
from pathlib import Path
from typing import Any

import flawed_studies as studies
import pandas as pd
import pytest
import xarray as xr
from browsers import chromium
from handmade_fits import fit_of_draws, fit_of_prior, laplace_fit

from bayes_scaling import optimum, plan, save_fit, write_report
from bayes_scaling.cli.documents import optimum_document
from bayes_scaling.cli.main import main
from bayes_scaling.cli.output import QUANTITIES
from bayes_scaling.errors import InputError, NotConvergedError
from bayes_scaling.quantities import format_quantity, format_share
from bayes_scaling.runs.check import check_runs

SCRIPT = "<script>alert(1)</script>"
RECIPES = ("web", SCRIPT)
BUDGET = 1e22


def of_two_recipes() -> xr.DataTree:
    """One of them named like a script; the law's draws are about the best fit of each."""
    tables = [studies.sound(seed).assign(recipe=name) for seed, name in zip((1, 2), RECIPES, strict=True)]
    alone = [laplace_fit(table, draws=40)["posterior"].dataset for table in tables]
    runs = pd.concat(tables, ignore_index=True).assign(run_id=lambda table: [f"run {i}" for i in table.index])
    runs.attrs = dict(tables[0].attrs)
    draws = fit_of_prior(check_runs(runs), "parametric-recipes")["posterior"].dataset
    recipe = xr.DataArray(list(RECIPES), dims="recipe", name="recipe")
    own = xr.concat([each.isel(chain=[0, 1]) for each in alone], recipe).transpose("chain", "draw", ...)
    names = [name for name in draws if name in own]
    return fit_of_draws(check_runs(runs), "parametric-recipes", draws.assign(own[names]))


@pytest.fixture(scope="module")
def fits() -> list[xr.DataTree]:
    return [laplace_fit(studies.sound(), draws=50), of_two_recipes()]


@pytest.fixture(scope="module")
def page_file(fits: list[xr.DataTree], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    write_report(fits, path, compute=BUDGET)
    return path


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as browser:
        yield browser


class Opened:
    """The page in a browser, with all that it asked for and complained of."""

    def __init__(self, browser: Any, path: Path, **context: Any) -> None:
        self.page = browser.new_context(**context).new_page()
        self.requests: list[str] = []
        self.said: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.said.append(dialog.message), dialog.dismiss()))
        self.page.goto(path.as_uri())

    def settled(self) -> None:
        self.page.wait_for_selector("#answer[aria-busy=false]", state="attached")

    def optimum(self) -> dict[str, str]:
        cells = self.page.locator("#optimal [data-value]")
        return {cell.get_attribute("data-value"): cell.inner_text() for cell in cells.all()}

    def planned(self) -> list[str]:
        return self.page.locator("#planned td").all_inner_texts()


@pytest.fixture
def opened(browser: Any, page_file: Path) -> Iterator[Opened]:
    opened = Opened(browser, page_file)
    yield opened
    opened.page.context.close()


def printed(fit: xr.DataTree, compute: float, recipe: str | None = None) -> dict[str, str]:
    """What `optimum` prints."""
    rows = optimum_document(optimum(fit, compute), 0.9)["optima"]
    (row,) = [row for row in rows if row.get("recipe") == recipe]
    return {
        f"{name}.{key}": write(row[name][key])
        for name, (_, write) in QUANTITIES.items()
        for key in ("estimate", "low", "high")
    }


def test_it_fetches_nothing_and_has_nothing_to_complain_of(opened: Opened, page_file: Path):
    opened.settled()
    assert opened.requests == [page_file.as_uri()]
    assert opened.said == []


def test_the_verdict_comes_first(opened: Opened, fits: list[xr.DataTree]):
    assert opened.page.locator("main h2").first.inner_text() == "Verdict"
    best = plan(fits[0], BUDGET)
    said = opened.page.locator(".headline").first.inner_text()
    assert f"{format_quantity(float(best['recommended_params']))} parameters" in said
    assert format_share(float(best["recommended_expected_regret"])) in said


def test_keys_move_the_slider_and_the_numbers_to_those_that_optimum_prints(
    opened: Opened, fits: list[xr.DataTree]
):
    opened.settled()
    assert opened.optimum() == printed(fits[0], BUDGET)
    opened.page.locator("#slider").focus()
    for _ in range(30):
        opened.page.keyboard.press("ArrowRight")
    opened.settled()
    shown = float(opened.page.input_value("#compute"))
    assert shown == pytest.approx(BUDGET * 10**0.3, rel=0.01)
    assert opened.optimum() == printed(fits[0], shown)


def test_limits_are_those_of_plan(opened: Opened, fits: list[xr.DataTree]):
    opened.page.fill("#compute", "5.76e23")
    opened.page.fill("#max_params", "30B")
    opened.page.fill("#served_tokens", "2T")
    opened.settled()
    decision = plan(fits[0], 5.76e23, max_params=30e9, served_tokens=2e12)
    cells = opened.planned()
    assert cells[:2] == [
        format_quantity(float(decision[f"recommended_{key}"])) for key in ("params", "tokens")
    ]
    assert opened.page.inner_text("#command") == (
        "bayes-scaling plan fit.nc --compute 5.76e23 --max-params 30B --served-tokens 2T"
    )
    opened.page.fill("#max_tokens", "1T")
    opened.page.wait_for_selector("#refusal:not([hidden])")
    assert "No size keeps all of these limits" in opened.page.inner_text("#refusal")
    opened.page.fill("#max_tokens", "many")
    opened.page.wait_for_selector("#max_tokens[aria-invalid=true]")
    assert "Write numbers above 0" in opened.page.inner_text("#refusal")
    opened.page.click("button[type=reset]")
    opened.settled()
    assert opened.page.is_hidden("#refusal")
    assert opened.optimum() == printed(fits[0], BUDGET)


def test_a_recipe_named_like_a_script_stays_a_text(opened: Opened, fits: list[xr.DataTree]):
    opened.page.select_option("#choice", label=f"parametric-recipes, {SCRIPT}")
    opened.settled()
    assert opened.page.locator("h3:visible", has_text=SCRIPT).count() >= 2
    assert opened.optimum() == printed(fits[1], BUDGET, SCRIPT)
    assert opened.said == []
    assert opened.page.evaluate("document.scripts.length") == 5
    assert SCRIPT not in opened.page.content()


def test_only_what_is_chosen_is_shown(opened: Opened):
    for key, number in (("0-0", "0"), ("1-1", "1")):
        opened.page.select_option("#choice", value=key)
        shown = opened.page.locator("[data-part]:visible, [data-fit]:visible")
        of = shown.evaluate_all("all => all.map((one) => one.dataset.part ?? one.dataset.fit)")
        assert set(of) == {key, number}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_has_no_page_wider_than_itself(browser: Any, page_file: Path, scheme: str):
    phone = Opened(browser, page_file, viewport={"width": 360, "height": 740}, color_scheme=scheme)
    phone.settled()
    assert phone.page.evaluate("document.documentElement.scrollWidth") <= 360
    dark = phone.page.evaluate("getComputedStyle(document.body).backgroundColor") != "rgb(255, 255, 255)"
    assert dark == (scheme == "dark")
    # On paper everything is light, and what is there to be typed in is gone.
    phone.page.emulate_media(media="print", color_scheme=scheme)
    assert phone.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert phone.page.is_hidden("#questions")
    phone.page.context.close()


@pytest.fixture
def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["bayes-scaling", *map(str, arguments)])
        with pytest.raises(SystemExit) as left:
            main()
        out, err = capsys.readouterr()
        return int(left.value.code or 0), err, out

    return call


def test_the_command_writes_it_and_says_whether_it_converged(
    tmp_path: Path, run: Callable[..., tuple[int, str, str]]
):
    fit, runs = laplace_fit(studies.sound(), draws=50), studies.sound()
    runs.attrs["source"] = SCRIPT
    bad = fit_of_draws(runs, "parametric-normal", fit["posterior"].to_dataset(), converged=False)
    save_fit(bad, tmp_path / "bad.nc")
    page = tmp_path / "page.html"
    code, said, _ = run("report", tmp_path / "bad.nc", "-o", page)
    assert (code, page.exists()) == (2, False)
    assert "not converged" in said
    code, said, _ = run("report", tmp_path / "bad.nc", "-o", page, "--allow-unconverged")
    assert code == 3, said
    assert f"wrote {page}" in said
    document = json.loads(run("report", tmp_path / "bad.nc", "-o", page, "--allow-unconverged", "--json")[2])
    assert document == {"page": str(page), "bytes": page.stat().st_size, "converged": False}
    text = page.read_text("utf-8")
    assert text.index("NOT converged") < text.index('<h2 id="plan">')
    # Ten times the largest run's, to the digits that are written.
    data = json.loads(re.search(r'id="data">(.*?)</script>', text)[1])
    assert data["compute"] == 1e22
    assert SCRIPT not in text
    assert escape(SCRIPT) in text
    assert not re.search(r"""(?:src|href)=["'](?!#|data:)""", text)
    assert not re.search(r"@import|url\((?!#)", text)
    ids = re.findall(r'\bid="([^"]+)"', text)
    assert len(ids) == len(set(ids))
    assert page.stat().st_size < 6e6


def test_what_cannot_be_reported_is_refused_before_anything_is_written(tmp_path: Path):
    fit = laplace_fit(studies.sound(), draws=50)
    with pytest.raises(InputError, match="needs a fit"):
        write_report([], tmp_path / "page.html")
    with pytest.raises(InputError, match="no folder"):
        write_report(fit, tmp_path / "nowhere" / "page.html")
    with pytest.raises(InputError, match="positive"):
        write_report(fit, tmp_path / "page.html", compute=-1.0)
    with pytest.raises(InputError, match="lacks"):
        write_report(fit.filter(lambda node: node.name != "log_likelihood"), tmp_path / "page.html")
    draws = fit["posterior"].to_dataset()
    bad = fit_of_draws(studies.sound(), "parametric-normal", draws, converged=False)
    with pytest.raises(NotConvergedError):
        write_report(bad, tmp_path / "page.html")
    assert list(tmp_path.iterdir()) == []
