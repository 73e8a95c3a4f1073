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
    web => 'location /api/ { mesh_api write=on; }'));
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
            unless grep { $_ eq $type || $_ eq 'number' } @$types;
    }

    my @wrong;

    if ($type eq 'object') {
        push @wrong, map { "$at: no $_" }
                     grep { !exists $value->{$_} }
                     @{ $schema->{required} // [] };

        for my $name (sort keys %$value) {
            my $of = $schema->{properties}{$name};

            push @wrong, what($of, $value->{$name}, "$at/$name") if $of;
            push @wrong, "$at/$name: unknown"
                if !$of && exists $schema->{additionalProperties}
                   && !ref $schema->{additionalProperties}
                   && !$schema->{additionalProperties};
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
