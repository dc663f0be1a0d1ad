"""The spec of a campaign: what may be made, what is wanted, and how to choose, as one immutable value.

`load_spec` reads YAML; everything wrong with it is reported at once, with line, key, value and what to write instead.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, ValidationInfo, field_validator, model_validator

from campaign import yaml
from campaign.acquisition_spec import KG, UCB, AnyAcquisition, Portfolio
from campaign.earlier import EarlierData, history_faults
from campaign.encoding import AnyEncoder, CHGNetEncoder
from campaign.failures import AnyFeasibility, LearnedFeasibility
from campaign.files import read_file
from campaign.filters import AnyFilter, FormulaSpace
from campaign.grammar import Choice, Flag, Frozen, Number, Whole, fault, faults, problems
from campaign.model_spec import AnyModel, AutoModel, RecipeModel
from campaign.outcomes import Labels, OutcomeConstraint, label_faults
from campaign.prices import Costs, amount
from campaign.quantities import NUMBER_OR_QUANTITY, Condition, Quantity, difference, in_unit, known_unit
from campaign.shared import positions
from campaign.spaces import AnySpace, DopedSlab, Process, ProcessSequence, Product, Space, variables
from campaign.spaces.base import ELEMENTS
from campaign.stop_spec import Stop
from campaign.synthesis_spec import Synthesis
from campaign.words import shown, suggestion
from db.errors import InvalidInput, Problem
from lab_io.findings import CellError
from lab_io.words import count

_RESERVED = """
    batch candidate comment composition failure_mode formula id notes operator rank recommendation replicate role sample
    sample_id sd status stratum unit weighed
"""
RESERVED = frozenset(_RESERVED.split())
"""Column names of worksheets and result tables, which no objective may have."""

_NO_COST = ("there is no `cost:` to count with", "add it, or remove this limit")
MAX_CANDIDATES = 100_000_000
"""Largest space that a campaign starts with; each round looks at every candidate."""

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")]


class Objective(Frozen):
    """One property to measure and improve."""

    name: Annotated[str, Field(pattern=r"^[^\W\d_][\w-]{0,63}$")]
    """Its name: a letter, then letters, digits, _ and -, at most 64; the column of result tables."""
    goal: Literal["minimize", "maximize", "match"]
    """Whether small or large values are wanted, or those near `target`."""
    unit: str = ""
    """Unit of its values, such as mV or MPa; empty, the default, for a plain number."""
    target: Annotated[Number, NUMBER_OR_QUANTITY] | None = None
    """For `match`: the value wanted, a number in `unit` or `300 mV`."""
    tolerance: Annotated[Number, Field(gt=0), NUMBER_OR_QUANTITY] | None = None
    """For `match`: the distance from the target that is as good as the target itself; none if left out."""
    reference_point: Annotated[Number, NUMBER_OR_QUANTITY] | None = None
    """With several objectives: the value that is just not worth having, from which the hypervolume of the front is
    counted, a number in `unit` or `500 MPa`; for `match`, any value that far from the target. If left out, a tenth of
    the measured front's range beyond its worst."""
    at: dict[str, Condition] = Field(default_factory=dict)
    """Conditions of the measurement: `{j: 10 mA/cm^2, area: geometric}`."""
    noise_floor: Quantity | None = None
    """Smallest difference that matters: `8 mV`, or a number in `unit`; if left out, the noise of one
    measurement as the surrogate estimates it, well where something was measured twice."""

    @field_validator("unit")
    @classmethod
    def _unit_known(cls, unit: str) -> str:
        return known_unit(unit)

    @field_validator("target", "tolerance", "reference_point", mode="before")
    @classmethod
    def _in_unit(cls, value: Any, info: ValidationInfo) -> Any:
        """A quantity as a number in the objective's unit; a tolerance is a difference."""
        if not isinstance(value, str) or "unit" not in info.data:
            return value
        try:
            return (difference if info.field_name == "tolerance" else in_unit)(value, info.data["unit"])
        except CellError as error:
            raise fault(error.what, error.fix) from None

    @model_validator(mode="after")
    def _consistent(self) -> Objective:
        found: list[tuple[yaml.Path, str, str]] = []
        if self.goal == "match" and self.target is None:
            found.append(
                (("target",), "`match` needs a target", f"add `target: ...`, in {self.unit or 'plain numbers'}")
            )
        if self.goal != "match":
            given = [key for key in ("target", "tolerance") if getattr(self, key) is not None]
            found += [((key,), f"`{key}` goes with `goal: match`, not with {self.goal}", "remove it") for key in given]
        elif None not in (self.target, self.reference_point):
            within = abs(float(self.reference_point or 0) - float(self.target or 0)) <= (self.tolerance or 0)
            what = f"{shown(self.reference_point)} is as good as the target, so that nothing is better"
            found += [(("reference_point",), what, "write a value farther from the target")] * within
        try:
            floor = self.noise_floor_value
            if floor is not None and floor <= 0:
                found.append(
                    (("noise_floor",), f"{shown(self.noise_floor)} is not above zero", "write more, or remove it")
                )
        except CellError as error:
            found.append((("noise_floor",), error.what, error.fix))
        faults(found)
        return self

    def loss(self, value: float) -> float:
        """A value as a loss, smaller is better: as it is, negated, or its distance to the target beyond tolerance."""
        if self.target is not None:
            return max(abs(value - self.target) - (self.tolerance or 0.0), 0.0)
        return value if self.goal == "minimize" else -value

    @property
    def noise_floor_value(self) -> float | None:
        """The noise floor as a number in `unit`."""
        return None if self.noise_floor is None else difference(self.noise_floor, self.unit)


class Control(Frozen):
    """A known sample that is made again in every batch."""

    design: dict[str, Number | str]
    """What it is, in the space's columns: `{Ni: 0.5, Fe: 0.5}`."""
    n: Annotated[Whole, Field(ge=1)] = 1
    """How many of it; 1 if left out."""


class BatchSpec(Frozen):
    """What is made together."""

    size: Annotated[Whole, Field(ge=1, le=1000)] = 8
    """Samples in a batch, controls included; 8 if left out."""
    controls: tuple[Control, ...] = ()
    """Known samples to repeat in every batch; they count towards `size`."""
    replicates: Annotated[Whole, Field(ge=0)] = 0
    """Measured samples to make again in every batch, where a repeat tells most about the best value; they count towards
    `size`; none if left out."""
    shared: tuple[str, ...] = ()
    """Design columns that all samples of a batch have in common, such as the temperature of one furnace; the value is
    chosen with the batch; none if left out."""
    due_days: Annotated[Number, Field(gt=0)] = 30
    """Days after which an item that is still pending is overdue, and `status` asks about it; 30 if left out."""

    @model_validator(mode="after")
    def _room_left(self) -> BatchSpec:
        repeated = sum(control.n for control in self.controls)
        if repeated >= self.size:
            what = f"{count(repeated, 'control')} in a batch of {self.size} leave nothing to recommend"
            faults([(("controls",), what, f"ask for fewer controls, or a size above {repeated}")])
        if repeated + self.replicates >= self.size:
            what = f"{count(self.replicates, 'replicate')} in a batch of {self.size} leave nothing to recommend"
            faults([(("replicates",), what, f"ask for fewer, or a size above {repeated + self.replicates}")])
        if self.controls and self.shared:
            what = "a control has a setting of its own, and the items of a batch share theirs"
            faults([(("shared",), what, "leave out the controls, or `shared`")])
        return self


class Budget(Frozen):
    """What the campaign may cost; without limits it goes on for as long as it is asked."""

    samples: Annotated[Whole, Field(ge=1)] | None = None
    """Samples in all, first batch included."""
    batches: Annotated[Whole, Field(ge=1)] | None = None
    """Batches in all."""
    cost: Annotated[Number, Field(gt=0), NUMBER_OR_QUANTITY] | None = None
    """What all batches may cost together, a number in the unit of `cost` or `1500 EUR`; no limit if left out."""


class ElementDirection(Frozen):
    """The signed effect of each element: move along its direction and renormalise the rest."""

    type: Literal["element_direction"] = "element_direction"
    step: Annotated[Number, Field(gt=0, le=0.5)] = 0.1
    """How far to move, as a fraction; 0.1 if left out."""


class SiteReversion(Frozen):
    """The signed effect of each dopant of a structure: turn it back into the host's element, or swap it for another."""

    type: Literal["site_reversion"] = "site_reversion"


class NoExplanation(Frozen):
    """Recommendations without a rationale."""

    type: Literal["none"] = "none"


class Intervals(Frozen):
    """Prediction intervals to report."""

    levels: Annotated[tuple[Annotated[Number, Field(gt=0, lt=1)], ...], Field(min_length=1)] = (0.80, 0.95)
    """Share of measurements that each interval should hold, ascending; 0.80 and 0.95 if left out."""
    adaptive: Flag = True
    """Whether the working level follows the coverage seen in past batches (Gibbs and Candes 2021); true if left out."""

    @field_validator("levels")
    @classmethod
    def _ascending(cls, levels: tuple[float, ...]) -> tuple[float, ...]:
        if list(levels) != sorted(set(levels)):
            raise fault(f"{list(levels)} is not ascending", f"write {sorted(set(levels))}")
        return levels


AnyExplanation = Annotated[ElementDirection | SiteReversion | NoExplanation, Field(discriminator="type"), Choice()]


_EXPLANATIONS = {"doped_slab": SiteReversion, "structure_files": NoExplanation}


class CampaignSpec(Frozen):
    """A campaign, from `siteloop start` to its last batch."""

    spec_version: Literal[1]
    """Version of this grammar: 1."""
    campaign: Name
    """Name of the campaign: letters, digits, - and _, at most 64, beginning with a letter or digit."""
    owner: Annotated[str, Field(max_length=200)] | None = None
    """Who answers for it; free text."""
    seed: Annotated[Whole, Field(ge=0)]
    """Where all random choices start from, so that the same data give the same batch; any whole number."""
    space: AnySpace
    """What may be made."""
    objectives: Annotated[tuple[Objective, ...], Field(min_length=1)]
    """What is measured and wanted, one or several."""
    outcome_constraints: tuple[OutcomeConstraint, ...] = ()
    """What need only be good enough, such as stability; nothing if left out."""
    labels: Labels = Labels()
    """Where values come from that no lab measures; nowhere if left out."""
    history: tuple[EarlierData, ...] = ()
    """Earlier campaigns and tables of prior data to learn from; none if left out. They are weighed by what is measured
    here, and left aside where that is predicted better without them."""
    filters: tuple[AnyFilter, ...] = ()
    """Rules about candidates, which annotate them or, with `mode: hard`, take them out; none if left out."""
    batch: BatchSpec = BatchSpec()
    """How many samples are made together, and which known ones are repeated."""
    cost: Costs | None = None
    """What samples and batches cost, in money, days or grams; nothing is counted if left out."""
    synthesis: Synthesis | None = None
    """What samples are weighed out from, so that worksheets say what to weigh; they say nothing of it if left out."""
    budget: Budget = Budget()
    """What the campaign may cost."""
    stop: Stop = Stop()
    """When to advise to stop; the defaults if left out."""
    encoder: AnyEncoder = CHGNetEncoder()
    """What tells the sites of structures apart; `chgnet` if left out, and of no effect on other spaces."""
    model: AnyModel = AutoModel()
    """What the predictions come from; `auto` if left out."""
    acquisition: AnyAcquisition = Portfolio()
    """What makes a candidate worth trying; `portfolio` if left out."""
    feasibility: AnyFeasibility = LearnedFeasibility()
    """Whether to learn from failed syntheses which designs can be made; `learned` if left out."""
    explain: AnyExplanation | None = None
    """How a recommendation is explained; if left out, `site_reversion` for structures that are doped, none for other
    structures, and else `element_direction`."""
    intervals: Intervals = Intervals()
    """Which prediction intervals to report."""

    @field_validator("budget", mode="before")
    @classmethod
    def _budget_in_unit_of_costs(cls, budget: Any, info: ValidationInfo) -> Any:
        if not isinstance(budget, dict) or not isinstance(budget.get("cost"), str):
            return budget
        if "cost" not in info.data:  # what is wrong with the costs is told; no unit is known
            return {key: value for key, value in budget.items() if key != "cost"}
        try:
            if info.data["cost"] is None:
                raise CellError(*_NO_COST)
            return budget | {"cost": amount(budget["cost"], info.data["cost"].unit)}
        except CellError as error:
            faults([(("cost",), error.what, error.fix)])
        return budget

    @field_validator("space")
    @classmethod
    def _columns_are_free(cls, space: AnySpace) -> AnySpace:
        """A variable of a process and a route name columns of worksheets, which have some of their own."""
        if isinstance(space, Process | ProcessSequence | Product):
            taken = [name for name in space.design_names() if name.casefold() in RESERVED]
            faults(((), f"{shown(name)} is also a column of every worksheet", "choose another name") for name in taken)
        return space

    @field_validator("objectives")
    @classmethod
    def _names_differ(cls, objectives: tuple[Objective, ...], info: ValidationInfo) -> tuple[Objective, ...]:
        space = info.data.get("space")
        faults(
            ((i, "name"), what, fix)
            for i, what, fix in _name_clashes([o.name for o in objectives], space.design_names() if space else ())
        )
        return objectives

    @field_validator("outcome_constraints")
    @classmethod
    def _constraint_names_differ(
        cls, constraints: tuple[OutcomeConstraint, ...], info: ValidationInfo
    ) -> tuple[OutcomeConstraint, ...]:
        space, objectives = info.data.get("space"), info.data.get("objectives", ())
        names = [o.name for o in objectives] + [c.name for c in constraints]
        clashes = _name_clashes(names, space.design_names() if space else ())
        first = len(objectives)
        faults(((i - first, "name"), what, fix) for i, what, fix in clashes if i >= first)
        return constraints

    @model_validator(mode="after")
    def _every_metric_has_one_source(self) -> CampaignSpec:
        faults(label_faults(self.outcome_constraints, tuple(o.name for o in self.objectives), self.labels))
        return self

    @model_validator(mode="after")
    def _reference_points_bound_a_front(self) -> CampaignSpec:
        if len(self.objectives) == 1 and self.objectives[0].reference_point is not None:
            what = "a reference point bounds the front of several objectives, there is one"
            faults([(("objectives", 0, "reference_point"), what, "remove it")])
        return self

    @model_validator(mode="after")
    def _acquisition_fits(self) -> CampaignSpec:
        if len(self.objectives) > 1 and isinstance(self.acquisition, UCB):
            what = f"UCB chooses by one objective, there are {len(self.objectives)}"
            faults([(("acquisition",), what, "use portfolio, qLogNEI, Thompson, greedy or max_variance")])
        if isinstance(self.acquisition, KG):
            asked = (
                ("chooses by one objective", len(self.objectives) > 1),
                ("needs an objective to minimize or maximize", self.objectives[0].goal == "match"),
            )
            faults(((("acquisition",)), f"KG {what}", "use qLogNEI") for what, wrong in asked if wrong)
        return self

    @model_validator(mode="after")
    def _costs_fit(self) -> CampaignSpec:
        found: list[tuple[yaml.Path, str, str]] = []
        if self.budget.cost is not None and self.cost is None:
            found.append((("budget", "cost"), *_NO_COST))
        weighs = self.cost is not None and self.cost.weight != 0
        if weighs and self.acquisition.type in ("UCB", "Thompson", "greedy"):
            what = f"{self.acquisition.type} is no gain that could be divided by a cost"
            found.append((("acquisition",), what, "use portfolio, or `weight: 0` to count costs only"))
        faults(found)
        return self

    @model_validator(mode="after")
    def _histories_fit(self) -> CampaignSpec:
        names = tuple(o.name for o in self.objectives)
        faults(history_faults(self.history, self.campaign, names, self.space.type, self.model.type))
        return self

    def files(self) -> tuple[str, ...]:
        """Names of all files that the campaign is read from, relative to the spec."""
        computed = (self.labels.computed.file,) if self.labels.computed else ()
        filters = [name for rule in self.filters for name in rule.files()]
        prior = [history.file for history in self.history if history.file]
        weighed = self.synthesis.files() if self.synthesis else ()
        return tuple(dict.fromkeys([*self.space.files(), *computed, *filters, *prior, *weighed]))

    @model_validator(mode="after")
    def _explanation_fits(self) -> CampaignSpec:
        kind = self.space.type
        if isinstance(self.explain, SiteReversion) and kind != "doped_slab":
            what = f"site_reversion turns dopants back, and {kind} has none"
            faults([(("explain",), what, "leave it out, or write none")])
        if isinstance(self.explain, ElementDirection) and kind in _EXPLANATIONS:
            what = f"element_direction moves along fractions, and {kind} has none"
            faults([(("explain",), what, "leave it out")])
        return self

    @model_validator(mode="after")
    def _ensemble_fits(self) -> CampaignSpec:
        if self.encoder.ensemble == "mean":
            found: list[tuple[tuple[str, ...], str, str]] = []
            if not isinstance(self.space, DopedSlab) or self.space.candidate != "composition":
                what = "a candidate of this space is no ensemble, and there is nothing to average"
                fix = "leave it out, or write `candidate: composition` in a space of the type doped_slab"
                found.append((("encoder", "ensemble"), what, fix))
            if isinstance(self.model, RecipeModel) and not self.model.averages:
                what = f"{self.model.type} grows trees, which cannot learn the mean over an ensemble's decorations"
                found.append((("model",), what, "use gp or a network, or write `ensemble: union` for the encoder"))
            faults(found)
        return self

    @property
    def explanation(self) -> ElementDirection | SiteReversion | NoExplanation:
        """How recommendations are explained, decided by the space where the spec does not say."""
        return self.explain or _EXPLANATIONS.get(self.space.type, ElementDirection)()

    def anchored(self, folder: Path) -> CampaignSpec:
        """The same with the encoder's checkpoint as seen from the folder of the spec."""
        encoder = self.encoder.anchored(folder)
        return self if encoder is self.encoder else self.model_copy(update={"encoder": encoder})

    def resolved(self) -> dict[str, Any]:
        """The whole spec as plain JSON values, defaults included; `load_spec` reads it back to an equal spec."""
        return self.model_dump(mode="json")


def load_spec(source: Path | str | bytes | Mapping[str, Any], name: str | None = None) -> CampaignSpec:
    """Read and check a spec.

    Args:
        source: a file, YAML text, or plain values.
        name: what to call it in messages; the file's name, else `spec`.

    Raises:
        InvalidInput: the file cannot be read, or the spec has problems; all of them at once.
    """
    name = name or (source.name if isinstance(source, Path) else "spec")
    if isinstance(source, Mapping):
        document = yaml.Document(name, dict(source))
    else:
        document = yaml.load(read_file(source, name, yaml.MAX_BYTES) if isinstance(source, Path) else source, name)
    if not isinstance(document.value, dict):
        what = f"a spec is a mapping of keys and values, not {shown(document.value)}"
        raise InvalidInput(
            Problem(document.where(()), what, "begin with `spec_version: 1`; `siteloop init` writes an example")
        )
    try:
        spec = CampaignSpec.model_validate(document.value)
        return spec.anchored(source.parent) if isinstance(source, Path) else spec
    except ValidationError as error:
        raise InvalidInput(problems(error, document, json_schema())) from None


@cache
def json_schema() -> dict[str, Any]:
    """JSON Schema of a spec, for editors and for the wording of errors."""
    schema = CampaignSpec.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "siteloop campaign spec"}


def check_space(spec: CampaignSpec, space: Space) -> None:
    """Check what can only be known once the space is built.

    Raises:
        InvalidInput: there are too many candidates, an objective or constraint is also a column of the space, a control
            is not a design of the space, or a filter cannot work on the space.
    """
    if space.count > MAX_CANDIDATES:
        what = f"{space.count:,} candidates are too many to screen; at most {MAX_CANDIDATES:,} can be"
        raise InvalidInput(Problem("space", what, "use fewer divisions, a smaller max_elements, bounds or constraints"))
    names = [f"objectives[{i}].name" for i in range(len(spec.objectives))]
    names += [f"outcome_constraints[{i}].name" for i in range(len(spec.outcome_constraints))]
    metrics = [o.name for o in spec.objectives] + [c.name for c in spec.outcome_constraints]
    found = [Problem(names[i], *rest) for i, *rest in _name_clashes(metrics, variables(space))]
    for i, rule in enumerate(spec.filters):
        if rule.rule == "formation_energy_proxy" and not isinstance(space, FormulaSpace):
            what = f"{rule.rule} needs the energies of structures, and {spec.space.type} has none"
            found.append(Problem(f"filters[{i}]", what, "remove it, or use a structure space"))
        elif not isinstance(space, FormulaSpace) and not ELEMENTS.intersection(space.components):
            what = f"{rule.rule} looks at elements, and no component of the space is one"
            found.append(Problem(f"filters[{i}]", what, "remove it, or name the components after elements"))
    for i, control in enumerate(spec.batch.controls):
        try:
            space.design_candidate(control.design)
        except InvalidInput as error:
            found += [Problem(f"batch.controls[{i}].design.{p.where}", p.what, p.fix) for p in error.problems]
    sides = [c.name for c in space.side_columns() if positions(space, (c.name,))]  # no routes, no structures
    for i, name in enumerate(spec.batch.shared):
        if name not in sides:
            what = f"{shown(name)} is no design column that a batch could share"
            fix = suggestion(name, sides) if sides else "remove it: the space has no settings, such as a temperature"
            found.append(Problem(f"batch.shared[{i}]", what, fix))
    if found:
        raise InvalidInput(found)


def _name_clashes(names: Sequence[str], columns: Sequence[str]) -> Iterator[tuple[int, str, str]]:
    """(position, what, fix) of each objective or constraint whose name means something else already."""
    taken = {name.casefold(): "a column of every worksheet" for name in RESERVED}
    taken |= {name.casefold(): "a column of the space" for name in columns}
    for i, name in enumerate(names):
        if owner := taken.get(name.casefold()):
            yield i, f"{shown(name)} is also {owner}", "choose another name"
        taken[name.casefold()] = "the name of another objective"
