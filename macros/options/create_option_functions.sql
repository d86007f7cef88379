{#
    The functions that value options, called inside a PL/pgSQL block, and replaced there: views use
    them. All are pure, and take and give figures without a unit; normal_cdf is N:

    implied_deviation(x, b) solves Black's formula for w = volatility * sqrt(years):

        x   -|ln(forward / strike)|, never above 0
        b   price / (discount * sqrt(forward * strike))

    A call and a put as far out of the money share one formula: b = e^(x/2) N(x/w + w/2) -
    e^(-x/2) N(x/w - w/2), or vega * g with one exponential and Mills ratios for N. Three steps of
    the third order (Householder) on ln(b), from a start that the tail of b suggests, are within
    1e-6 for volatilities from 3 % to 300 % and b from 3e-7. Null where no volatility has the price.

    early_exercise(m, r, c, w) is what the right to exercise early adds to the price of a put, as a
    fraction of its strike, by the quadratic approximation of Ju and Zhong (1999):

        m   price of the underlying / strike
        r   rate * years
        c   carry: ln(forward / price of the underlying)
        w   volatility * sqrt(years)

    A call is a put with the underlying and the strike exchanged: early_exercise(1 / m, r - c, -c,
    w), as a fraction of the price of the underlying.
#}
{% macro create_option_functions(schema) -%}
create or replace function {{ schema }}.implied_deviation(x double precision, b double precision)
returns double precision language plpgsql immutable strict parallel safe
set search_path = pg_catalog as $function$
declare
    w double precision;
    d1 double precision;
    t1 double precision;
    t2 double precision;
    square double precision;
    vega double precision;
    g double precision;
    bend double precision;
    step double precision;
    h2 double precision;
    h3 double precision;
begin
    if not (x <= 0 and x > -100 and b > 1e-12 and b < 0.999999 * exp(x / 2)) then
        return null;
    end if;
    w := 2.5066282746310002 * b - x / sqrt(2 * greatest(ln(1 - x / b) - 1, 1));
    for n in 1..3 loop
        d1 := x / w + w / 2;
        square := x * x / (w * w);
        vega := 0.3989422804014327 * exp(-least((square + w * w / 4) / 2, 300));
        t1 := 1 / (1 + 0.28 * abs(d1));
        t2 := 1 / (1 + 0.28 * (w - d1));
        if d1 > 0 then
            g := exp(x / 2) / vega - {{ mills_ratio('t1') }} - {{ mills_ratio('t2') }};
        else
            g := {{ mills_ratio('t1') }} - {{ mills_ratio('t2') }};
        end if;
        g := greatest(g, 1e-12);
        bend := square / w - w / 4;
        step := -g * ln(g * vega / b);
        h2 := bend - 1 / g;
        h3 := bend * bend - 3 * square / (w * w) - 0.25 - (3 * bend - 2 / g) / g;
        step := step * (1 + h2 * step / 2) / nullif(1 + step * (h2 + h3 * step / 6), 0);
        w := least(greatest(w + step, w / 2), 2 * w + 0.1);
    end loop;
    return w;
end
$function$;

create or replace function {{ schema }}.early_exercise(
    m double precision, r double precision, c double precision, w double precision
) returns double precision language plpgsql immutable strict parallel safe
set search_path = pg_catalog as $function$
declare
    h double precision;
    alpha double precision;
    beta double precision;
    root double precision;
    eternal double precision; -- the same of a put without an end
    lambda double precision;
    discount double precision;
    growth double precision; -- of the dividends
    floor_price double precision; -- below which a put without an end is exercised
    price double precision; -- below which the put is exercised, as a fraction of the strike
    d1 double precision;
    d2 double precision;
    density double precision;
    n1 double precision; -- N(-d1)
    n2 double precision; -- N(-d2)
    gain double precision; -- of exercise at that price
    slope double precision;
    curve double precision;
    distance double precision;
begin
    -- without interest nobody exercises early
    if not (m > 1e-6 and m < 1e6 and r > 1e-8 and r < 50 and abs(c) < 50 and w > 1e-4 and w < 50)
    then
        return 0;
    end if;
    h := 1 - exp(-r);
    alpha := 2 * r / (w * w);
    beta := 2 * c / (w * w);
    root := sqrt((beta - 1) * (beta - 1) + 4 * alpha / h);
    lambda := {{ lower_root('root', 'alpha / h') }};
    discount := exp(-r);
    growth := exp(c - r);
    eternal := sqrt((beta - 1) * (beta - 1) + 4 * alpha);
    floor_price := 1 / (1 - 1 / {{ lower_root('eternal', 'alpha') }});
    price := floor_price
        + (1 - floor_price) * exp(greatest(least((c - 2 * w) / (1 - floor_price), -0.001), -300));
    for n in 0..4 loop
        d1 := (ln(price) + c) / w + w / 2;
        d2 := d1 - w;
        density := 0.3989422804014327 * exp(-least(d1 * d1 / 2, 300));
        n1 := density * {{ mills_ratio('(1 / (1 + 0.28 * abs(d1)))') }};
        n2 := 0.3989422804014327 * exp(-least(d2 * d2 / 2, 300))
            * {{ mills_ratio('(1 / (1 + 0.28 * abs(d2)))') }};
        if d1 < 0 then
            n1 := 1 - n1;
        end if;
        if d2 < 0 then
            n2 := 1 - n2;
        end if;
        gain := 1 - price - discount * n2 + price * growth * n1;
        exit when n = 4;
        slope := -1 + growth * n1 + (1 - growth * n1) / lambda + growth * density / (w * lambda);
        price := least(
            greatest(price - (gain + (1 - growth * n1) * price / lambda) / slope, floor_price),
            0.999999,
            r / greatest(r - c, 1e-9)
        );
    end loop;
    if gain <= 0 then
        return 0;
    end if;
    slope := alpha / (h * h * root);
    curve := -discount * alpha * slope / (2 * root);
    distance := ln(greatest(m, price) / price);
    return gain * exp(greatest(lambda * distance, -300)) / greatest(
        1 - curve * distance * distance - distance * discount * alpha / root * (
            (
                price * density * w * exp(c) / (2 * r) + (r - c) / r * price * n1 * exp(c) - n2
            ) / gain
            + 1 / h - slope / root
        ),
        0.5
    );
end
$function$;

create or replace function {{ schema }}.normal_cdf(z double precision)
returns double precision language sql immutable strict parallel safe as $function$
    select case when z > 0 then 1 - tail else tail end
    from (
        select
            0.3989422804014327 * exp(-least(z * z / 2, 300))
            * {{ mills_ratio('(1 / (1 + 0.28 * abs(z)))') }} as tail
    ) as t
$function$;
{%- endmacro %}

{#
    (1 - beta - root) / 2, where root is that of (beta - 1)^2 + 4 * product: without the difference
    of almost equal numbers, which may be 0.
#}
{% macro lower_root(root, product) -%}
    case
        when beta < 1 then -2 * {{ product }} / (1 - beta + {{ root }})
        else (1 - beta - {{ root }}) / 2
    end
{%- endmacro %}

{#
    (1 - N(z)) / n(z) for z >= 0 by `t` = 1 / (1 + 0.28 z): a polynomial fitted for the smallest
    relative error, which is 7e-9 for all z. PostgreSQL 15 has no erf.
#}
{% macro mills_ratio(t) -%}
    {%- set rest = namespace(text='-0.036042956') -%}
    {%- for factor in [
        '0.179387918', '-0.315907095', '0.203971941', '-0.074244594', '0.115079358',
        '0.148390455', '0.214656991', '0.258021606', '0.280000524', '0.279999998'
    ] -%}
        {%- set rest.text = '(' ~ factor ~ ' + ' ~ t ~ ' * ' ~ rest.text ~ ')' -%}
    {%- endfor -%}
    {{ t }} * {{ rest.text }}
{%- endmacro %}
