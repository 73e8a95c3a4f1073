#!/usr/bin/perl

# openapi.json against the API itself: each operation of the document is one,
# and answers as it says; no other is; unknown fields are refused.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP;
use Test::More;

use Mesh::Calls;
use Mesh::Test;

my $t = Mesh::Test->new;

$t->write_conf(conf(
    service => 'endpoint 127.0.0.1:1;',
    mesh => 'state_path %%DIR%%/state; '
            . 'route half { match percent=50 attachment.x=y; '
            . 'to label=v=1 fallback=any; to service=demo.Full; } '
            . 'route no { match method=no; deny; }',
    web => 'location /api/ { mesh_api write=on; client_max_body_size 16m; }'));
$t->run;

my $r = $t->http('GET', '/api/1/openapi.json');
is($r->{status}, 200, 'the document') or diag($r->{content});

my $doc = $r->{json};
is($doc->{openapi}, '3.1.0', 'its version');
is($doc->{servers}[0]{url}, '/api/1', 'where the API is');

# all references lead somewhere

my %refs = map { $_ => 1 } $r->{content} =~ m{"#/components/schemas/(\w+)"}g;
is(join(' ', grep { !$doc->{components}{schemas}{$_} } sort keys %refs), '',
   'all schemas that are named are there');
is(join(' ', grep { !$refs{$_} } sort keys %{ $doc->{components}{schemas} }),
   '', '... and no others');

sub resolve {
    my ($schema) = @_;

    return $schema unless ref $schema eq 'HASH' && $schema->{'$ref'};
    return $doc->{components}{schemas}{ $schema->{'$ref'} =~ s{.*/}{}r };
}


# what($schema, value): what of a value is not as a schema of the document
# says, for the words that it has

sub what {
    my ($schema, $value, $at) = @_;

    $schema = resolve($schema);
    $at //= '';

    if ($schema->{enum}) {
        return grep { $_ eq ($value // '') } @{ $schema->{enum} }
               ? () : "$at: not one of these";
    }

    if ($schema->{anyOf}) {
        return (grep { !what($_, $value, $at) } @{ $schema->{anyOf} })
               ? () : "$at: none of these";
    }

    my $type = !defined $value ? 'null'
               : JSON::PP::is_bool($value) ? 'boolean'
               : ref $value eq 'HASH' ? 'object'
               : ref $value eq 'ARRAY' ? 'array'
               : JSON::PP->new->allow_nonref->encode($value) =~ /^"/ ? 'string'
               : 'integer';

    if (my $types = $schema->{type}) {
        $types = [$types] unless ref $types;
        return "$at: $type, not @$types"
            unless grep { $_ eq $type
                          || $_ eq 'number' && $type eq 'integer' } @$types;
    }

    my @wrong;

    if ($type eq 'object') {
        push @wrong, map { "$at: no $_" }
                     grep { !exists $value->{$_} }
                     @{ $schema->{required} // [] };

        for my $name (sort keys %$value) {
            my $of = ($schema->{properties} // {})->{$name};

            push @wrong, what($of, $value->{$name}, "$at/$name") if $of;
            push @wrong, what($schema->{additionalProperties},
                              $value->{$name}, "$at/$name")
                if !$of && ref $schema->{additionalProperties} eq 'HASH';
            push @wrong, "$at/$name: unknown"
                if !$of && $schema->{properties}
                   && ref $schema->{additionalProperties} ne 'HASH'
                   && !grep { $name =~ $_ }
                      keys %{ $schema->{patternProperties} // {} };
        }
    }

    if ($type eq 'array' && $schema->{items}) {
        my $n = 0;
        push @wrong, map { what($schema->{items}, $_, "$at/" . $n++) } @$value;
    }

    return @wrong;
}


# samples of what each operation takes, and names for paths

my %samples = (
    Service => { balancer => 'random' },
    NewService => { name => 'demo.Posted' },
    Endpoint => { address => '10.0.0.1', port => 20880 },
    NewEndpoint => { address => '10.0.0.1', port => 20880 },
    Override => { weight => 5 },
    Route => { match => { method => 'x' }, deny => 'no' },
    Snapshot => { items => [] },
    Batch => { ops => [] },
    Call => { service => 'demo.Echo', method => 'x' },
);

my %names = (service => 'demo.New', id => '10.0.0.1:20880', route => 'r');

sub sample {
    my ($schema) = @_;

    return [map { sample($schema->{items}) } 1]
        if ($schema->{type} // '') eq 'array';
    return $samples{ $schema->{'$ref'} =~ s{.*/}{}r } if $schema->{'$ref'};
    return {};
}

my @order = qw(put get post patch delete);
my %methods = map { $_ => 1 } @order;

sub check {
    my ($path, $method, $op, $args) = @_;

    my $body = $op->{requestBody}
               && $op->{requestBody}{content}{'application/json'}{schema};
    my $url = $path =~ s/\{(\w+)\}/$names{$1} \/\/ 'x'/ger;

    my $answer = $t->http(uc $method, "/api/1$url$args",
                          $body ? sample($body) : undef);
    my $said = $op->{responses}{ $answer->{status} };

    ok($said, "$method $path answers $answer->{status}, as it says")
        or diag($answer->{content});
    is(join("\n", what($said->{content}{'application/json'}{schema},
                       $answer->{json})), '', '... in the form it says')
        or diag($answer->{content});

    return unless $body && $method ne 'patch'
                  && !($body->{type} && $body->{type} eq 'array');

    my $schema = resolve($body);

    is(0 + !!$schema->{additionalProperties}, 0, '... has no other fields');

    # what was made is there already

    my %again = $method ne 'post' ? ()
                : $path eq '/services' ? (name => 'demo.Again')
                : (port => 2);

    delete @again{ grep { !$schema->{properties}{$_} } keys %again };

    $answer = $t->http(uc $method, "/api/1$url",
                       { %{ sample($body) }, %again, unknown => 1 });
    is($answer->{status}, 422, '... an unknown one is refused');
    is($answer->{json}{error}{pointer}, '/unknown', '... which');
}

my @paths = sort { length $a <=> length $b || $a cmp $b }
            keys %{ $doc->{paths} };

# what is made comes before what is asked for, and goes at the end

for my $path (@paths) {
    for my $method (@order) {
        my $op = $doc->{paths}{$path}{$method} or next;
        next if $method eq 'delete';
        check($path, $method, $op, $path eq '/watch' ? '?wait=0s' : '');
    }
}

# answers that have more to say

sub hold {
    my ($method, $path, $body, $status, %headers) = @_;

    my $plain = $path =~ s/\?.*//r;
    my ($of) = grep {
        my $like = $_ =~ s/\{\w+\}/[^\/]+/gr;
        "/$plain" =~ /^$like$/
    } @paths;

    my $r = $t->http($method, "/api/1/$path", $body, headers => \%headers);
    is($r->{status}, $status, "$method $path") or diag($r->{content});

    my $said = $doc->{paths}{$of}{ lc $method }{responses}{$status};
    is(join("\n", what(($said->{content}{ $r->{headers}{'content-type'} }
                        // {})->{schema} // { enum => [] }, $r->{json})), '',
       '... in the form it says') or diag($r->{content});

    return $r->{json};
}

wait_for { $t->http('GET', '/api/1/revisions')->{status} == 200 } 10, 'it';

my $full = 'services/demo.Full/endpoints';
my $spec = { address => '10.0.0.2', port => 1, labels => { v => '1' },
             protocol => 'dubbo', zone => 'z', backup => JSON::PP::true,
             slow_start => '1s' };

hold('PUT', "$full?dry_run=1", [ $spec ], 200);
my $revision = hold('PUT', $full, [ $spec ], 200)->{revision};
my $one = "$full/10.0.0.2:1";
hold('PUT', "$one/override", { weight => 5, drain => JSON::PP::true,
     reason => 'r', until => '2999-01-01T00:00:00Z' }, 201);

for my $path ('services/demo.Full', $one, "$one/override", 'routes/half') {
    my $object = hold('GET', $path, undef, 200);
    ok($object->{metadata}{name} && $object->{spec}, '... with all of it');
    hold('GET', "$path?fields=spec", undef, 200);
}

hold('GET', $_, undef, 200)
    for $full, 'services', 'routes', 'snapshot', 'status', 'revisions',
        "revisions/$revision", "revisions/$revision/diff",
        'watch?since=' . ($revision - 1) . '&wait=0s';

hold('POST', 'batch', { ops => [
    { method => 'PUT', path => 'services/demo.B', body => {} },
    { method => 'PATCH', path => $one, body => { weight => 3 } },
    { method => 'DELETE', path => 'services/demo.B' } ] }, 200);
hold('POST', "revisions/$revision/rollback?dry_run=1", undef, 200);
hold('POST', "revisions/$revision/rollback", undef, 200);

hold('POST', 'explain', { service => 'demo.Full', method => $_,
                          attachments => { x => 'y' } }, 200)
    for 'say', 'no';
hold('POST', 'explain', { service => 'demo.Nobody', method => 'x' }, 200);

hold('GET', 'services/demo.Nobody', undef, 404);

my $problem = hold('PUT', 'services/demo.Full', { x => 1 }, 422,
                   accept => 'application/problem+json, */*;q=0.1');
is(join(' ', @$problem{qw(type title status code pointer)}),
   'about:blank BadField 422 BadField /x', '... as a problem');
like($problem->{detail}, qr/unknown field/, '... whose detail says it');
hold('GET', 'services/demo.Full', undef, 200,
     accept => 'application/problem+json');
hold('PUT', 'services/demo.Echo', {}, 409);
hold('PUT', 'services/demo.Full', { x => 1 }, 422);
hold('PUT', 'services/demo.Full', '{', 400,
     'content-type' => 'application/json');
hold('PUT', 'services/demo.Full', '{}', 415, 'content-type' => 'text/plain');
hold('DELETE', 'services/demo.Full', undef, 412, 'if-match' => '"a"');
hold('GET', 'services', undef, 403, origin => 'http://evil');
hold('GET', 'watch?since=0', undef, 410);
hold('PUT', $full, [ map { { address => '10.0.0.1', port => $_, labels => {
     map { ($_ => 'y' x 1000) } 1 .. 4 } } } 1 .. 2000 ], 507);

ok(what($doc->{components}{schemas}{Root}, { version => 1, other => 1 }),
   'a field that is not listed would be seen');

for my $path (reverse @paths) {
    my $op = $doc->{paths}{$path}{delete} or next;
    check($path, 'delete', $op, '');
}

# no other methods, no other paths

for my $path (@paths) {
    my $url = $path =~ s/\{(\w+)\}/$names{$1} \/\/ 'x'/ger;

    for my $method (@order) {
        next if $doc->{paths}{$path}{$method};

        my $answer = $t->http(uc $method, "/api/1$url", $method eq 'get'
                              || $method eq 'delete' ? undef : {});
        is($answer->{status}, 405, "$method $path is none");
    }

    $r = $t->http('OPTIONS', "/api/1$url");
    my @allow = grep { $_ ne 'head' && $_ ne 'options' }
                split /, /, lc($r->{headers}{allow} // '');

    is(join(' ', sort @allow),
       join(' ', sort grep { $methods{$_} } keys %{ $doc->{paths}{$path} }),
       '... the same in Allow');
}

is($t->http('GET', '/api/1/nothing')->{status}, 404, 'no other path');

my %collections = map { $_ => 1 } @{ $t->http('GET', '/api/1/')
                                         ->{json}{resources} };
is(join(' ', grep { !$collections{$_} }
             map { m{^/([^/]+)$} ? $1 : () } sort @paths), '',
   'the root names them');

$t->done;
