{#
    Functions for options that can be exercised before expiry; null for what no
    price can be.

    early_exercise is what the right to exercise early adds to a price, in dollars, by a binomial
    tree of the price without its dividends to come: American less European, so that the error of
    the tree cancels. `ex_years` are the years until each ex-date, `amounts` its dollars; what else
    the forward says of carry (borrowing, a yield) flows continuously. The tree has 24 steps and 40
    a year, with dividends 48 to 80, as many as put them closest to a step.

    american_deviation is implied_deviation of an American price, without early exercise.
    implied_forward is the forward of an American call and put of one strike by parity of what
    remains of their prices without early exercise. Both are two steps to a fixed point, and
    Aitken's third; what a fourth step does not confirm is null. Before 30 days are left the forward
    is not asked for carry: it would be mostly the noise between quotes of options and of the
    underlying.
#}
{% macro american_functions(schema) -%}
create or replace function {{ schema }}.early_exercise(
    option_right text,
    spot double precision,
    strike double precision,
    years double precision,
    rate double precision,
    carry double precision,
    w double precision,
    ex_years double precision[],
    amounts double precision[]
) returns double precision language plpgsql immutable strict parallel safe
set search_path = pg_catalog as $function$
declare
    side double precision := case option_right when 'C' then 1 else -1 end;
    left_over double precision := spot; -- without the dividends to come
    days double precision[] := '{}'; -- of them
    dollars double precision[] := '{}';
    steps int;
    misfit double precision;
    best double precision;
    paid double precision[]; -- at the end of each step
    place int;
    dt double precision;
    h double precision;
    growth double precision;
    discount double precision;
    up double precision; -- chances, with the discount
    down double precision;
    american double precision[];
    european double precision[];
    price double precision;
    factor double precision;
    x double precision;
    d1 double precision;
    vega double precision;
    t1 double precision;
    t2 double precision;
    future double precision := 0; -- dividends after the step
    worth double precision; -- of exercise beside the price
    a double precision;
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
    steps := 24 + ceil(40 * least(years, 2));
    -- nobody gives away interest for nothing
    if
        (side = 1 and carry >= rate and rate >= 0 and days = '{}')
        or (side = -1 and rate <= 0)
    then
        return 0;
    end if;
    if days <> '{}' then
        for count in 48..80 loop
            misfit := 0;
            for n in 1..array_length(days, 1) loop
                x := days[n] / years * count;
                misfit := misfit + dollars[n] * abs(x - round(x));
            end loop;
            if best is null or misfit < best - 1e-6 * spot then
                best := misfit;
                steps := count;
            end if;
        end loop;
    end if;
    dt := years / steps;
    h := w / sqrt(steps);
    growth := exp(carry * dt);
    discount := exp(-rate * dt);
    up := discount * (growth - exp(-h)) / (exp(h) - exp(-h));
    down := discount - up;
    if not (up > 0 and down > 0) then
        return null;
    end if;
    paid := array_fill(0::double precision, array[steps]);
    for n in 1..coalesce(array_length(days, 1), 0) loop
        place := least(round(days[n] / dt), steps - 1);
        paid[place + 1] := paid[place + 1] + dollars[n] * exp(rate * (place * dt - days[n]));
    end loop;
    american := array_fill(0::double precision, array[steps]);
    european := american;
    for m in reverse (steps - 1)..0 loop
        -- a call is exercised before the stock is without its dividend, a put after that
        future := future * discount;
        worth := future + case when side = 1 then paid[m + 1] else 0 end - strike;
        future := future + paid[m + 1];
        price := left_over * exp(-h * (m + 2));
        factor := exp(2 * h);
        if m = steps - 1 then
            -- the last step by Black's formula: where the strike is among the prices shows no more
            for n in 1..steps loop
                price := price * factor;
                x := ln(price * growth / strike);
                e := discount * greatest(side * (price * growth - strike), 0);
                if abs(x) < 7 * h then
                    x := -abs(x);
                    d1 := x / h + h / 2;
                    vega := 0.3989422804014327 * exp(-(x * x / (h * h) + h * h / 4) / 2);
                    t1 := 1 / (1 + 0.28 * abs(d1));
                    t2 := 1 / (1 + 0.28 * (h - d1));
                    if d1 > 0 then
                        x := exp(x / 2)
                            - vega * ({{ mills_ratio('t1') }} + {{ mills_ratio('t2') }});
                    else
                        x := vega * ({{ mills_ratio('t1') }} - {{ mills_ratio('t2') }});
                    end if;
                    e := e + discount * sqrt(price * growth * strike) * x;
                end if;
                european[n] := e;
                american[n] := greatest(e, side * (price + worth));
            end loop;
        else
            a := american[1];
            e := european[1];
            for n in 1..m + 1 loop
                price := price * factor;
                x := american[n + 1];
                american[n] := greatest(up * x + down * a, side * (price + worth));
                a := x;
                x := european[n + 1];
                european[n] := up * x + down * e;
                e := x;
            end loop;
        end if;
    end loop;
    return american[1] - european[1];
end
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
    w double precision[];
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
    w[1] := {{ schema }}.implied_deviation(x, price / unit);
    for n in 2..3 loop
        w[n] := {{ schema }}.implied_deviation(x, (price - {{ schema }}.early_exercise(
            option_right, spot, strike, years, rate, carry, w[n - 1], ex_years, amounts
        )) / unit);
        if w[n] is null or abs(w[n] - w[n - 1]) < 3e-4 * sqrt(years) then
            return w[n];
        end if;
    end loop;
    -- else the price is mostly that of exercise, and says nothing
    if abs(w[3] - w[2]) < 0.5 * abs(w[2] - w[1]) then
        w[4] := w[1] - (w[2] - w[1]) * (w[2] - w[1]) / (w[3] - 2 * w[2] + w[1]);
        w[5] := {{ schema }}.implied_deviation(x, (price - {{ schema }}.early_exercise(
            option_right, spot, strike, years, rate, carry, w[4], ex_years, amounts
        )) / unit);
        if abs(w[5] - w[4]) < 5e-4 * sqrt(years) then
            return w[5];
        end if;
    end if;
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
    near double precision;
    is_near boolean;
    first double precision;
    base double precision; -- of which volatility and carry are taken
    answer double precision;
    call_premium double precision := 0;
    put_premium double precision := 0;
    carry double precision;
    w double precision;
begin
    if not (
        strike between 1e-6 and 1e9 and call_price between 1e-9 and 1e9
        and put_price between 1e-9 and 1e9 and years between 1e-6 and 20 and abs(rate) < 3 / years
    ) then
        return null;
    end if;
    near := 2e-4 * strike * sqrt(years); -- 0.0005 of a volatility at the money
    first := strike + (call_price - put_price) * exp(rate * years);
    base := first;
    for step in 1..3 loop
        if (base between 1e-9 and 1e9) is not true then
            return null;
        end if;
        w := {{ schema }}.implied_deviation(
            -abs(ln(base / strike)),
            case when base <= strike then call_price - call_premium else put_price - put_premium end
            * exp(rate * years) / sqrt(base * strike)
        );
        carry := {{ schema }}.carry_of_forward(base, spot, years, rate, ex_years, amounts);
        call_premium := {{ schema }}.early_exercise(
            'C', spot, strike, years, rate, carry, w, ex_years, amounts
        );
        put_premium := {{ schema }}.early_exercise(
            'P', spot, strike, years, rate, carry, w, ex_years, amounts
        );
        answer := strike + (call_price - call_premium - put_price + put_premium)
            * exp(rate * years);
        if (answer between 1e-9 and 1e9) is not true then
            return null;
        end if;
        if abs(answer - base) < 1e-6 * strike * sqrt(years) then
            return answer;
        end if;
        is_near := abs(answer - base) < near;
        if step = 2 then
            if (abs(answer - base) < 0.5 * abs(base - first)) is not true then
                return null;
            end if;
            answer := first - (base - first) * (base - first) / (answer - 2 * base + first);
        end if;
        if step > 1 and is_near then
            return answer;
        end if;
        base := answer;
    end loop;
    return null;
end
$function$;
{%- endmacro %}
