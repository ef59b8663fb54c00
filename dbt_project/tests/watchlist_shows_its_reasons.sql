{{ config(severity='error', meta={'dagster': {'ref': {'name': 'watchlist'}}}) }}
-- Every loan on the list shows at least one rule and its values, and every loan on which a rule fired is on the list.
with warned as (

    select distinct loan_id
    from {{ ref('early_warnings') }}

)

select
    coalesce(listed.loan_id, warned.loan_id) as loan_id,
    listed.rule_ids,
    listed.evidence,
    case when listed.loan_id is null then 'a rule fired, but the loan is not listed' else 'listed without reasons' end
        as reason
from {{ ref('watchlist') }} as listed
full outer join warned on listed.loan_id = warned.loan_id
where listed.loan_id is null or warned.loan_id is null or listed.rule_ids is null or listed.evidence is null
