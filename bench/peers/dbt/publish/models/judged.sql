{{ config(materialized='view') }}
select
    *,
    coalesce(
        l_orderkey > 0
        and l_partkey > 0
        and l_linenumber between 1 and 7
        and l_quantity between 1 and 50
        and l_extendedprice < 104500
        and l_discount between 0 and 0.1::double
        and l_tax >= 0
        and l_returnflag in ('A', 'N', 'R')
        and l_shipmode in ('AIR', 'FOB', 'MAIL', 'RAIL', 'REG AIR', 'SHIP', 'TRUCK'),
        false
    )
    and l_suppkey is not null
    and l_linestatus is not null
    and l_shipdate is not null
    and l_commitdate is not null
    and l_receiptdate is not null
    and l_shipinstruct is not null
    and l_comment is not null as _holds
from {{ source('tpch', 'lineitem') }}
