{#
    Functions for options that can be exercised before expiry; null for what no
    price can be.

    early_exercise is what the right to exercise early adds to a price, in dollars, by a binomial
    tree of the price without its dividends to come: American less European, so that the error of
    the tree cancels. `ex_years` are the years until each ex-date, `amounts` its dollars; what else
    the forward says of carry (borrowing, a yield) flows continuously. A call is not worth a tree
    where each dividend is less than the interest on the strike until the next one, or expiry.

    tree_steps are 36 and 40 a year, with dividends 76 to 110, as many as put them closest to a
    step.

    american_deviation is implied_deviation of an American price, without early exercise.
    implied_forward is the forward of an American call and put of one strike by parity of what
    remains of their prices without early exercise. Both begin with two steps to a fixed point by a
    tree of a quarter of the steps: they say where it is, and how one step changes the next. Of the
    whole tree one step is mostly enough; what three do not confirm is null. Before 30 days are left
    the forward is not asked for carry: it would be mostly the noise between quotes of options and
    of the underlying.
#}
{% macro american_functions() -%}
{%- set schema = inner_schema() -%}
create or replace function {{ schema }}.early_exercise(
    option_right text,
    spot double precision,
    strike double precision,
    years double precision,
    rate double precision,
    carry double precision,
    w double precision,
    ex_years double precision[],
    amounts double precision[],
    steps int
) returns double precision language plpgsql immutable strict parallel safe
set search_path = pg_catalog as $function$
declare
    side double precision := case option_right when 'C' then 1 else -1 end;
    left_over double precision := spot; -- without the dividends to come
    days double precision[] := '{}'; -- of them
    dollars double precision[] := '{}';
    lost double precision := greatest(rate - carry, 0); -- a year, of the price, by holding
    highest double precision; -- price that is not out of reach
    only_ex_dates boolean; -- pay for exercise
    is_kept boolean; -- whatever happens
    hold double precision; -- years
    paid double precision[]; -- at the end of each step
    place int;
    dt double precision;
    h double precision;
    growth double precision;
    discount double precision;
    up double precision; -- chances, with the discount
    down double precision;
    american double precision[]; -- values, of a step after the other
    ladder double precision[]; -- of prices, those of a step are each second one
    start int; -- of a step's on the ladder
    price double precision;
    factor double precision;
    european double precision := 0;
    chance double precision; -- of a price of the last step, with the discount
    x double precision;
    d1 double precision;
    vega double precision;
    t1 double precision;
    t2 double precision;
    future double precision := 0; -- dividends after the step
    worth double precision; -- of exercise beside the price
    e double precision;
begin
    if not (
        strike between 1e-6 and 1e9 and spot between strike * 1e-4 and strike * 1e4
        and years between 1e-6 and 20 and abs(rate) < 3 / years and abs(carry) < 3 / years
        and w between 1e-4 and 5
    ) then
        return null;
    end if;
    for n in 1..coalesce(array_length(ex_years, 1), 0) loop
        if ex_years[n] >= 0 and ex_years[n] < years and amounts[n] > 0 and amounts[n] < 1e9 then
            days := days || ex_years[n];
            dollars := dollars || amounts[n];
            left_over := left_over - amounts[n] * exp(-rate * ex_years[n]);
        end if;
    end loop;
    if left_over < 0.1 * spot then
        return null;
    end if;
    -- nobody gives away interest for nothing, nor for less than it brings until the next ex-date
    highest := left_over * exp(5 * w);
    only_ex_dates := side = 1 and rate >= 0 and lost * highest <= rate * strike;
    is_kept := only_ex_dates or (side = -1 and rate <= 0);
    if side = 1 then
        for n in 1..coalesce(array_length(days, 1), 0) loop
            hold := coalesce(days[n + 1], years) - days[n];
            is_kept := is_kept and hold > 0 and dollars[n] + highest * (1 - exp(-lost * hold))
                < strike * (1 - exp(-rate * hold));
        end loop;
    end if;
    if is_kept then
        return 0;
    end if;
    dt := years / steps;
    h := w / sqrt(steps);
    growth := exp(carry * dt);
    discount := exp(-rate * dt);
    up := discount * (growth - exp(-h)) / (exp(h) - exp(-h));
    down := discount - up;
    if not (up > 2e-3 and down > 2e-3) then -- of 116 steps the chance of the last is a number
        return null;
    end if;
    paid := array_fill(0::double precision, array[steps]);
    for n in 1..coalesce(array_length(days, 1), 0) loop
        place := least(round(days[n] / dt), steps - 1);
        paid[place + 1] := paid[place + 1] + dollars[n] * exp(rate * (place * dt - days[n]));
    end loop;
    ladder := array_fill(0::double precision, array[2 * steps - 1]);
    price := side * left_over * exp(-h * steps);
    factor := exp(h);
    for n in 1..2 * steps - 1 loop
        price := price * factor;
        ladder[n] := price;
    end loop;
    american := array_fill(0::double precision, array[steps]);
    chance := down ^ (steps - 1);
    for m in reverse (steps - 1)..0 loop
        -- a call is exercised before the stock is without its dividend, a put after that
        future := future * discount;
        worth := side * (future + case when side = 1 then paid[m + 1] else 0 end - strike);
        future := future + paid[m + 1];
        if m < steps - 1 and only_ex_dates and paid[m + 1] = 0 then
            for n in 1..m + 1 loop
                american[n] := up * american[n + 1] + down * american[n];
            end loop;
            continue;
        elsif m < steps - 1 then
            start := steps - m - 2;
            for n in 1..m + 1 loop
                american[n] := greatest(
                    up * american[n + 1] + down * american[n], ladder[2 * n + start] + worth
                );
            end loop;
            continue;
        end if;
        -- the last step by Black's formula: where the strike is among the prices shows no more
        for n in 1..steps loop
            price := side * ladder[2 * n - 1] * growth;
            x := -abs(ln(price / strike));
            e := discount * greatest(side * (price - strike), 0);
            if x > -7 * h then
                d1 := x / h + h / 2;
                vega := 0.3989422804014327 * exp(-(x * x / (h * h) + h * h / 4) / 2);
                t1 := 1 / (1 + 0.28 * abs(d1));
                t2 := 1 / (1 + 0.28 * (h - d1));
                if d1 > 0 then
                    x := exp(x / 2)
                        - vega * ({{ schema }}.mills_ratio(t1) + {{ schema }}.mills_ratio(t2));
                else
                    x := vega * ({{ schema }}.mills_ratio(t1) - {{ schema }}.mills_ratio(t2));
                end if;
                e := e + discount * sqrt(price * strike) * x;
            end if;
            european := european + chance * e;
            chance := chance * up / down * (steps - n) / n;
            american[n] := greatest(e, ladder[2 * n - 1] + worth);
        end loop;
    end loop;
    return american[1] - european;
end
$function$;

create or replace function {{ schema }}.tree_steps(
    years double precision,
    ex_years double precision[],
    amounts double precision[]
) returns int language sql immutable strict parallel safe as $function$
    select case
        when count(n) = 0 then 36 + ceil(40 * least(greatest(years, 0), 2))
        else (array_agg(n order by misfit::real, n))[1]
    end::int
    from (
        select
            n,
            sum(d.amount * abs(d.ex_at * n / years - round(d.ex_at * n / years))) as misfit
        from unnest(ex_years, amounts) as d (ex_at, amount)
        cross join generate_series(76, 110) as n
        where
            years between 1e-6 and 20
            and d.ex_at >= 0 and d.ex_at < years and d.amount > 0 and d.amount < 1e9
        group by n
    ) as t
$function$;

create or replace function {{ schema }}.carry_of_forward(
    forward double precision,
    spot double precision,
    years double precision,
    rate double precision,
    ex_years double precision[],
    amounts double precision[]
) returns double precision language sql immutable strict parallel safe as $function$
    select case
        when years < 30 / 365.0 then rate
        when rest between 1e-9 and 1e9 and forward between 1e-9 and 1e9
            then ln(forward / rest) / years
    end
    from (
        select spot - coalesce(sum(d.amount * exp(-rate * d.ex_at)), 0) as rest
        from unnest(ex_years, amounts) as d (ex_at, amount)
        where d.ex_at >= 0 and d.ex_at < years and d.amount > 0 and d.amount < 1e9
    ) as t
$function$;

create or replace function {{ schema }}.american_deviation(
    option_right text,
    price double precision,
    forward double precision,
    spot double precision,
    strike double precision,
    years double precision,
    rate double precision,
    ex_years double precision[],
    amounts double precision[]
) returns double precision language plpgsql immutable strict parallel safe
set search_path = pg_catalog as $function$
declare
    unit double precision;
    x double precision;
    carry double precision;
    steps int;
    w double precision[];
    slope double precision := 0; -- of a step to the one before it
begin
    if not (
        strike between 1e-6 and 1e9 and forward between 1e-6 and 1e9 and price between 1e-9 and 1e9
        and years between 1e-6 and 20 and abs(rate) < 3 / years
    ) then
        return null;
    end if;
    unit := exp(-rate * years) * sqrt(forward * strike);
    x := -abs(ln(forward / strike));
    carry := {{ schema }}.carry_of_forward(forward, spot, years, rate, ex_years, amounts);
    steps := {{ schema }}.tree_steps(years, ex_years, amounts);
    w[1] := {{ schema }}.implied_deviation(x, price / unit);
    for n in 1..5 loop
        w[n + 1] := {{ schema }}.implied_deviation(x, (price - {{ schema }}.early_exercise(
            option_right, spot, strike, years, rate, carry, w[n], ex_years, amounts,
            case when n < 3 then steps / 4 else steps end
        )) / unit);
        if n = 2 then
            if abs(w[2] - w[1]) > 3e-4 * sqrt(years) then
                slope := (w[3] - w[2]) / (w[2] - w[1]);
            end if;
            -- else the price is mostly that of exercise, and says nothing
            exit when abs(slope) > 0.5;
        end if;
        if n > 1 then
            w[n + 1] := w[n] + (w[n + 1] - w[n]) / (1 - slope);
        end if;
        if n > 2 and abs(w[n + 1] - w[n]) < 3e-4 * sqrt(years) then
            return w[n + 1];
        end if;
    end loop;
    return null;
end
$function$;

create or replace function {{ schema }}.implied_forward(
    call_price double precision,
    put_price double precision,
    spot double precision,
    strike double precision,
    years double precision,
    rate double precision,
    ex_years double precision[],
    amounts double precision[]
) returns double precision language plpgsql immutable strict parallel safe
set search_path = pg_catalog as $function$
declare
    call_premium double precision := 0;
    put_premium double precision := 0;
    near double precision;
    forward double precision[];
    slope double precision := 0; -- of a step to the one before it
    carry double precision;
    steps int;
    used int; -- of them
    w double precision;
begin
    if not (
        strike between 1e-6 and 1e9 and call_price between 1e-9 and 1e9
        and put_price between 1e-9 and 1e9 and years between 1e-6 and 20 and abs(rate) < 3 / years
    ) then
        return null;
    end if;
    near := 2e-4 * strike * sqrt(years); -- 0.0005 of a volatility at the money
    steps := {{ schema }}.tree_steps(years, ex_years, amounts);
    for n in 0..5 loop
        forward[n + 1] := strike + (
            call_price - call_premium - put_price + put_premium
        ) * exp(rate * years);
        if n = 2 then
            if abs(forward[2] - forward[1]) > near then
                slope := (forward[3] - forward[2]) / (forward[2] - forward[1]);
            end if;
            exit when abs(slope) > 0.5;
        end if;
        if n > 1 then
            forward[n + 1] := forward[n] + (forward[n + 1] - forward[n]) / (1 - slope);
        end if;
        if (forward[n + 1] between 1e-9 and 1e9) is not true then
            return null;
        end if;
        if n > 2 and abs(forward[n + 1] - forward[n]) < near then
            return forward[n + 1];
        end if;
        w := {{ schema }}.implied_deviation(
            -abs(ln(forward[n + 1] / strike)),
            case
                when forward[n + 1] <= strike then call_price - call_premium
                else put_price - put_premium
            end * exp(rate * years) / sqrt(forward[n + 1] * strike)
        );
        carry := {{ schema }}.carry_of_forward(
            forward[n + 1], spot, years, rate, ex_years, amounts
        );
        used := case when n < 2 then steps / 4 else steps end;
        call_premium := {{ schema }}.early_exercise(
            'C', spot, strike, years, rate, carry, w, ex_years, amounts, used
        );
        put_premium := {{ schema }}.early_exercise(
            'P', spot, strike, years, rate, carry, w, ex_years, amounts, used
        );
    end loop;
    return null;
end
$function$;
{%- endmacro %}
