{#
    The functions affine_fit and affine_breaks: where, and by which event, a vendor's adjusted
    prices differ from ours. Called inside a PL/pgSQL block.

    Both series are one price line up to affine maps. Backward-adjusted for the events we know, a
    price is x; the vendor's is v, and z = latest_a v + latest_b equals x where both know the same
    events. An event that only the vendor knows changes the map from x to z for all older bars:

        y = (x - b) / a      the price just before the event
        w                    the same just after it, read from z through the map of the newer bars
        w = (y - c) / m

    The bars are walked from the newest to the oldest. Where five in a row leave the current map,
    the next map is fitted by least squares and rounded to the roundest m and c that explain the
    bars as well: what companies decide is round. A stretch that one of our own stretches explains
    is the vendor at another day T, or unadjusted; a map that changes on an ex-date we know disputes
    that event. Neither is a missing event, and the walk goes on from there. Five bars that no map
    explains end it: older bars cannot be judged.

    Prices are arrays of bars, the newest first, each with its open, high, low and close.
    affine_breaks returns one row per missing event.
#}
{% macro create_affine_breaks(schema) -%}
{%- set residuals -%}
    abs((p * x[n][1] + q - latest_b) / latest_a - v[n][1]),
    abs((p * x[n][2] + q - latest_b) / latest_a - v[n][2]),
    abs((p * x[n][3] + q - latest_b) / latest_a - v[n][3]),
    abs((p * x[n][4] + q - latest_b) / latest_a - v[n][4])
{%- endset -%}
drop function if exists {{ schema }}.affine_fit;
drop function if exists {{ schema }}.affine_breaks;
create function {{ schema }}.affine_fit(
    x double precision[],
    v double precision[],
    first_bar integer,
    last_bar integer,
    newer_p double precision,
    newer_q double precision,
    event_a double precision,
    event_b double precision,
    latest_a double precision,
    latest_b double precision,
    tolerance double precision,
    out m numeric,
    out c numeric,
    out fit_error double precision
) language plpgsql immutable parallel safe set search_path = pg_catalog as $function$
declare
    -- prices without a cut are half a unit too high by then: a tie that rounds upward
    tie constant double precision := 0.000001;
    -- of a price after the event in v
    scale constant double precision := event_a * newer_p / latest_a;
    point record;
    slope double precision;
    least_square double precision;
    enough double precision;
    shift double precision;
    square double precision;
    tried_m double precision;
    tried_c double precision;
    wrong_bars integer;
    wrong_at_border integer;
begin
    select
        count(*) as n,
        avg(s.y) as y,
        avg(s.w) as w,
        regr_sxx(s.w, s.y) as syy,
        regr_syy(s.w, s.y) as sww,
        regr_sxy(s.w, s.y) as syw
    into point
    from (
        select
            (t.x - event_b) / event_a as y,
            ((latest_a * t.v + latest_b - newer_q) / newer_p - event_b) / event_a as w
        from unnest(x[first_bar:last_bar], v[first_bar:last_bar]) as t (x, v)
    ) as s;
    if point.syy is null or point.syy <= 0 or point.syw <= 0 then
        return;
    end if;
    slope := point.syw / point.syy;
    least_square := greatest(point.sww - slope * point.syw, 0);

    -- the roundest m, then the roundest c: cash alone, then bonus and rights in ever finer steps. m
    -- must explain the shape as well as noise does, c shift all by less than the vendor rounds
    <<rounding>>
    for m_digits in 0..4 loop
        tried_m := case m_digits when 0 then 1 else round((1 / slope)::numeric, m_digits) end;
        continue when tried_m <= 0;
        enough := least_square * (1 + 20.0 / point.n)
            + point.n * (case when m_digits < 2 then 0.06 else 0.03 end * tolerance / scale) ^ 2;
        foreach tried_c in array array[
            0,
            round((point.y - tried_m * point.w + tie)::numeric, 2),
            round((point.y - tried_m * point.w + tie)::numeric, 3),
            round((point.y - tried_m * point.w + tie)::numeric, 4)
        ] loop
            shift := point.w - (point.y - tried_c) / tried_m;
            square := point.sww - 2 * point.syw / tried_m + point.syy / tried_m ^ 2;
            if square <= enough and abs(shift) * scale <= 0.25 * tolerance
                and not (tried_m = 1 and tried_c = 0)
            then
                square := square + point.n * shift ^ 2;
                m := tried_m;
                c := tried_c;
                exit rounding;
            end if;
        end loop;
    end loop;
    if m is null then
        tried_m := round((1 / slope)::numeric, 6);
        tried_c := round((point.y - tried_m * point.w)::numeric, 6);
        square := least_square;
        m := tried_m;
        c := tried_c;
    end if;
    m := trim_scale(m);
    c := trim_scale(c);
    fit_error := sqrt(greatest(square, 0) / point.n) * scale;

    -- single bars differ where one side was corrected since; the oldest five must agree
    select
        count(*) filter (where r.error > tolerance and r.n <= last_bar - first_bar - 4),
        count(*) filter (where r.error > tolerance and r.n > last_bar - first_bar - 4)
    into wrong_bars, wrong_at_border
    from (
        select
            (t.k + 3) / 4 as n,
            max(abs(
                t.v - (
                    newer_p * (event_a * ((t.x - event_b) / event_a - tried_c) / tried_m + event_b)
                    + newer_q - latest_b
                ) / latest_a
            )) as error
        from unnest(x[first_bar:last_bar], v[first_bar:last_bar]) with ordinality as t (x, v, k)
        group by (t.k + 3) / 4
    ) as r;
    if wrong_at_border > 2 or wrong_bars > greatest(2, 0.02 * (last_bar - first_bar + 1)) then
        m := null;
        c := null;
        fit_error := null;
    end if;
end
$function$;

create function {{ schema }}.affine_breaks(
    x double precision[],
    v double precision[],
    a double precision[], -- known backward coefficients of each bar
    b double precision[],
    is_known boolean[], -- a known event lies between the bar and the next newer one
    anchors_a double precision[], -- the coefficients of every known stretch
    anchors_b double precision[],
    tolerance double precision -- in yuan of the vendor's prices
) returns table (
    bar integer, -- the last before the event, counted from the newest
    m numeric,
    c numeric,
    fit_error double precision, -- root of the mean square, in yuan of the vendor's prices
    fitted_bars integer
) language plpgsql immutable parallel safe set search_path = pg_catalog as $function$
declare
    bars constant integer := cardinality(a);
    latest_a constant double precision := a[1];
    latest_b constant double precision := b[1];
    p double precision := 1; -- the current map: z = p x + q
    q double precision := 0;
    newer_p double precision := 1; -- the map on the newer side of the current stretch
    newer_q double precision := 0;
    event_a double precision;
    event_b double precision;
    start_bar integer := 1; -- of the current stretch
    is_fitted boolean := false; -- whether its map is fitted, and by which event
    is_event boolean := false;
    event record;
    better record;
    anchor_a double precision;
    anchor_b double precision;
    is_anchored boolean;
    failing integer := 0;
    i integer := 1;
    n integer;
    gain double precision;
    best double precision;
begin
    -- the usual case: no difference
    if not exists (
        select 1 from unnest(x, v) as t (x, v)
        where abs((t.x - latest_b) / latest_a - t.v) > tolerance
    ) then
        return;
    end if;

    while i <= bars loop
        n := i;
        failing := case when greatest({{ residuals }}) > tolerance then failing + 1 else 0 end;
        i := i + 1;
        continue when failing < 5;
        i := i - 5;
        failing := 0;

        if is_fitted then
            -- a map fitted on few bars may only want a better fit
            better := {{ affine_fit_call(schema, 'start_bar', 'i + 4') }};
            n := i + 4;
            if better.m is null then
                better := {{ affine_fit_call(schema, 'start_bar', 'i - 1') }};
                n := i - 1;
            end if;
            if better.m is not null then
                event := better;
                p := newer_p / event.m;
                q := newer_q + newer_p * (event_b - (event_b + event_a * event.c) / event.m);
            end if;
            if n > i then
                i := n + 1;
                continue;
            end if;
            if is_event then
                return query select
                    start_bar, event.m::numeric, event.c::numeric,
                    event.fit_error::double precision, i - start_bar;
            end if;
        end if;
        is_fitted := false;
        is_event := false;

        -- the vendor's prices are unadjusted, or of another day T
        anchor_a := a[i];
        anchor_b := b[i];
        is_anchored := true;
        for k in i..i + 4 loop
            is_anchored := is_anchored
                and abs((x[k][1] - b[k]) / a[k] - v[k][1]) <= tolerance
                and abs((x[k][4] - b[k]) / a[k] - v[k][4]) <= tolerance;
        end loop;
        for anchor in 1..cardinality(anchors_a) loop
            exit when is_anchored;
            anchor_a := anchors_a[anchor];
            anchor_b := anchors_b[anchor];
            is_anchored := true;
            for k in i..i + 4 loop
                is_anchored := is_anchored
                    and abs((x[k][1] - anchor_b) / anchor_a - v[k][1]) <= tolerance
                    and abs((x[k][4] - anchor_b) / anchor_a - v[k][4]) <= tolerance;
            end loop;
        end loop;
        if is_anchored then
            p := latest_a / anchor_a;
            q := latest_b - anchor_b * p;
            start_bar := i;
            continue;
        end if;

        newer_p := p;
        newer_q := q;
        event_a := a[i];
        event_b := b[i];
        -- the first of the five may belong to the newer side and differ for another reason
        <<fitting>>
        for first_bar in i..least(i + 4, bars - 4) loop
            foreach n in array array[
                first_bar + 39, first_bar + 19, first_bar + 9, first_bar + 4
            ] loop
                event := {{ affine_fit_call(schema, 'first_bar', 'least(n, bars)') }};
                exit fitting when event.m is not null;
            end loop;
        end loop;
        if event.m is null then
            return;
        end if;
        p := newer_p / event.m;
        q := newer_q + newer_p * (event_b - (event_b + event_a * event.c) / event.m);

        -- a small step hides in the rounding of single bars: the border that suits both sides best
        gain := 0;
        best := 0;
        start_bar := least(i + 5, bars);
        for bar_no in reverse start_bar - 1..greatest(i - 60, 1) loop
            for k in 1..4 loop
                gain := gain
                    + ((newer_p * x[bar_no][k] + newer_q - latest_b) / latest_a - v[bar_no][k]) ^ 2
                    - ((p * x[bar_no][k] + q - latest_b) / latest_a - v[bar_no][k]) ^ 2;
            end loop;
            if gain > best then
                best := gain;
                start_bar := bar_no;
            end if;
        end loop;
        is_fitted := true;
        is_event := not is_known[start_bar];
        i := i + 5;
    end loop;

    if is_event then
        better := {{ affine_fit_call(schema, 'start_bar', 'bars') }};
        if better.m is not null then
            event := better;
        end if;
        return query select
            start_bar, event.m::numeric, event.c::numeric, event.fit_error::double precision,
            bars - start_bar + 1;
    end if;
end
$function$;
{%- endmacro %}

{# A call of affine_fit for the event that explains the bars from `first_bar` to `last_bar`. #}
{% macro affine_fit_call(schema, first_bar, last_bar) -%}
    {{ schema }}.affine_fit(
        x, v, {{ first_bar }}, {{ last_bar }}, newer_p, newer_q, event_a, event_b,
        latest_a, latest_b, tolerance
    )
{%- endmacro %}
