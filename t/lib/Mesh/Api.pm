package Mesh::Api;

# Calls of the API in tests.

use strict;
use warnings;

use Exporter qw(import);
use Mesh::Calls;

our @EXPORT = qw(api_conf api error enc);


# api_conf(service => ..., location => "more of the location", write => "off",
# what else Mesh::Calls::conf() takes): it, with the API at /api/

sub api_conf {
    my (%o) = @_;

    my $write = $o{write} // 'on';
    my $api = "location /api/ { mesh_api write=$write @{[$o{args} // '']}; "
              . ($o{location} // '') . " }\n        " . ($o{http} // '');
    my $conf = conf(%o);

    $conf =~ s/zone mesh:8m/zone mesh:$o{zone}/ if $o{zone};
    $conf =~ s/(location \/metrics)/$api$1/;

    return $conf;
}


# api(test, method, path behind "1/", body (a structure, or a string as it
# is), headers)

sub api {
    my ($t, $method, $path, $body, %headers) = @_;

    $headers{'content-type'} //= 'application/json' if defined $body;

    return $t->http($method, "/api/1/$path", $body, port => 'http',
                    headers => \%headers, timeout => 60);
}


# "status code pointer" of an error

sub error {
    my ($r) = @_;

    my $e = ($r->{json} // {})->{error} // {};

    return join ' ', $r->{status}, grep { defined && length }
           @$e{qw(code pointer)};
}


sub enc {
    my ($s) = @_;

    $s =~ s/([^\w.~-])/sprintf '%%%02X', ord $1/ge;

    return $s;
}


1;
